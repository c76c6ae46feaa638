import json
from urllib.parse import urlsplit

from tokens import make_jwt_for_customer
from workers import Request, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    # this event is fired when the dispatched Workers make a subrequest
    async def fetch(self, request):
        # env contains the values we set in `dispatcher.get()`
        customer_name = self.env.customer_name
        original_url = self.env.url

        # log the request
        self.ctx.wait_until(
            fetch(
                "https://logs.example.com",
                method="POST",
                body=json.dumps(
                    {
                        "customer_name": customer_name,
                        "original_url": original_url,
                    }
                ),
            )
        )

        url = urlsplit(original_url)
        if url.netloc == "api.example.com":
            # pre-auth requests to our API
            jwt = make_jwt_for_customer(customer_name)

            headers = dict(request.headers)
            headers["authorization"] = f"Bearer {jwt}"

            # clone the request to set new headers using existing body
            new_request = Request(request, headers=headers)

            return await fetch(new_request)

        return await fetch(request)

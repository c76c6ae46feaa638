from workers import File, FormData, Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method == "GET":
            form = FormData({"greeting": "hello"})
            form.append("file", File("print(42)", "answer.py", content_type="text/python"))
            return Response(form)
        form = await request.form_data()
        upload = form.get("upload")
        if isinstance(upload, File):
            text = await upload.text()
            return Response(f"{form['title']}: {upload.name} {upload.content_type} {text}")
        return Response(f"{form['title']}: {form.get_all('tag')}")

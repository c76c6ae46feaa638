"""The guarded client: a request goes to its origin, if it may, and the response comes back.

- `client`       all of it
- `route`        which address, for which customer; `names` and `resolver` look it up
- `destination`  whether that very address may be reached; `ports` whether its port may
- `pool`         connections, shared out among customers
- `exchange`     a request and its response on one of them: `request_head`, `upload`,
  `response_head`, and `websocket` where it goes on as one
- `failure`      what aiohttp and the system raise, as reasons of the error table
"""

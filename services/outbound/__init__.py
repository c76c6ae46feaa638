"""The outbound service: Outbound Workers and the only way to the internet.

- `subrequests`  what becomes of a subrequest: the policies, the Outbound Worker, the origin
- `policy`       whether the egress policies let it go to its host
- `egress_log`   its canonical line
- `client`       the guarded client, of all that follows:
- `route`        which address, for which customer; `names` and `resolver` look it up
- `destination`  whether that very address may be reached; `ports` whether its port may
- `pool`         connections, shared out among customers
- `exchange`     a request and its response on one of them: `request_head`, `upload`,
  `response_head`, and `websocket` where it goes on as one
- `failure`      what aiohttp and the system raise, as reasons of the error table
"""

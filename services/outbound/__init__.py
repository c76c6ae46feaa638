"""The outbound service: Outbound Workers and the only way to the internet.

- `subrequests`  what becomes of a subrequest: the policies, the Outbound Worker, the origin
- `policy`       whether the egress policies let it go to its host
- `egress_log`   its canonical line
- `origin`       the guarded client, by which it gets there
"""

# muster: an interpreter beside an executor. Its program comes first through the socket on standard input.
import os
def read(count):
    got = b""
    while len(got) < count:
        got += os.read(0, count - len(got)) or os._exit(0)
    return got
exec(compile(read(int.from_bytes(read(4), "little")), "muster_bridge.py", "exec"))

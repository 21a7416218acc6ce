from __future__ import annotations
from tests.tcp.world import World, MS, SECOND
def test_a():
    w = World()
    w.connect()
    w.client.send(b"hello"); w.run_for(SECOND)
    print(w.server.receive())
    w.client.close(); w.run_for(SECOND); w.server.close(); w.run()
    print("\n".join(w.story()))
    print(w.now)
def test_b():
    w = World(room=65000)
    w.connect()
    w.client.write(b"hello"*100000, True); w.server.reading=True; w.server.write(b"x",True)
    w.run()
    print("\n".join(w.story()[-10:]))
    print(len(w.messages), w.server.received==b"hello"*100000, w.server.ended)

#!/usr/bin/python3
"""Many viewers of the page, in one process.

usage: viewers.py PORT COUNT

Opens COUNT connections as a browser's EventSource does, and reads what comes.  Prints
"ready" when all of them have had a message.  On SIGTERM it prints how many messages
came, and ends.  The status is 1 if a connection was closed.

(With as little work as possible: it takes the time of the machine that sells.)
"""

import resource
import select
import signal
import socket
import sys

REQUEST = b"GET /sale HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


class Stop(Exception):
    pass


def stop(*_):
    raise Stop


def connect(port, count):
    epoll = select.epoll()
    sockets = {}
    for _ in range(count):
        viewer = socket.create_connection(("127.0.0.1", port))
        viewer.sendall(REQUEST)
        epoll.register(viewer.fileno(), select.EPOLLIN)
        sockets[viewer.fileno()] = viewer
    return epoll, sockets


def main(port, count):
    messages = closed = 0
    waiting = set()
    try:
        epoll, sockets = connect(port, count)
        waiting.update(sockets)
        buffer = bytearray(4096)
        while True:
            for fd, _ in epoll.poll():
                size = sockets[fd].recv_into(buffer)
                if size == 0:
                    epoll.unregister(fd)
                    closed += 1
                elif buffer.find(b"data: {", 0, size) >= 0:
                    messages += 1
                    if waiting:
                        waiting.discard(fd)
                        if not waiting:
                            print("ready", flush=True)
    except Stop:
        print(f"{messages} messages, {closed} connections closed", flush=True)
    return closed > 0


signal.signal(signal.SIGTERM, stop)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

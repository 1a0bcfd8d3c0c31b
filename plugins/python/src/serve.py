# Stands behind bridge.py in an interpreter of its own, and calls what is there: one socket for the executor, and one for each of
# its threads.
import socket

try:
    import ctypes
    set_async = ctypes.pythonapi.PyThreadState_SetAsyncExc
except (ImportError, AttributeError):
    set_async = None  # There is no way: a task that does not end by itself ends with its executor.

LENGTH = struct.Struct("<I")
CONTROL = struct.Struct("<BQ")
OPENS, CANCELS = 1, 2
EXITS = b"\3"


class Line(threading.Thread):
    """Runs the tasks of one thread of the executor."""

    def __init__(self, number, connection):
        super().__init__(name=f"task-{number}", daemon=True)
        self.connection = connection
        self.lock = threading.Lock()
        self.is_running = False

    def run(self):
        while True:
            request = receive(self.connection)
            if request is None:
                return
            send(self.connection, self.call(request))

    def call(self, request):
        reply = CANCELLED
        try:
            self.is_running = True
            reply = call(request)
        except Cancelled:
            pass
        while True:
            try:
                with self.lock:
                    self.is_running = False
                    raise_in(self.ident, None)
                return reply
            except Cancelled:
                pass

    def cancel(self):
        with self.lock:
            if self.is_running:
                raise_in(self.ident, Cancelled)


def raise_in(thread, exception):
    """Raises an exception in another thread, or takes one back that was not raised yet."""
    if set_async is not None:
        value = None if exception is None else ctypes.py_object(exception)
        set_async(ctypes.c_ulong(thread), value)


def receive(connection):
    """One message; none: the executor is gone."""
    head = receive_bytes(connection, LENGTH.size)
    return head and receive_bytes(connection, LENGTH.unpack(head)[0])


def receive_bytes(connection, count):
    room = bytearray(count)
    view = memoryview(room)
    while view:
        got = connection.recv_into(view)
        if got == 0:
            return None
        view = view[got:]
    return bytes(room)


def send(connection, message):
    connection.sendall(LENGTH.pack(len(message)) + message)


def serve():
    # Standard input is the executor's socket; what a user reads from must not be.
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    settings = receive(control)
    if settings is None:
        return
    tell_of_exits()
    send(control, load(settings))
    lines = {}
    while True:
        kind, number, connection = next_word(control)
        if kind == OPENS:
            lines[number] = Line(number, connection)
            lines[number].start()
        elif number in lines:
            lines[number].cancel()


def next_word(control):
    data, ancillary, _, _ = control.recvmsg(CONTROL.size, socket.CMSG_LEN(4))
    while len(data) < CONTROL.size:
        more = control.recv(CONTROL.size - len(data)) if data else b""
        if not more:
            leave(0)  # The executor is gone, and nobody wants what still runs here.
        data += more
    kind, number = CONTROL.unpack(data)
    descriptors = [struct.unpack("i", content[:4])[0] for _, _, content in ancillary]
    if not descriptors:
        return kind, number, None
    os.set_inheritable(descriptors[0], False)
    return kind, number, socket.socket(fileno=descriptors[0])


leave = os._exit


def tell_of_exits():
    """A task that ends the interpreter says so before, so that it is charged and not those beside it."""
    def exit_of_task(status):
        line = threading.current_thread()
        if isinstance(line, Line):
            send(line.connection, EXITS + str(int(status) & 255).encode())
        leave(status)

    os._exit = exit_of_task


serve()

"""Calls a user's function for the tasks of muster's plugin `python`.

Embedded in an executor, `load` and `call` are called through CPython's C API, by all of its threads. In an interpreter of
its own, what stands in serve.py calls them for whom it hears from by sockets. Nothing here is called by users.

A request is the number of the task (8 bytes, little-endian), whether it has an input (1 byte), and the input. A reply is
a byte that says how it ended, and a text: the result as JSON, or what failed.
"""
import ast
import inspect
import json
import linecache
import os
import struct
import sys
import threading
import traceback
import types

DONE, FAILED, CANCELLED = b"\0", b"\1", b"\2"
REQUEST = struct.Struct("<QB")
CODE_NAME = "<code>"
HERE = (lambda: None).__code__.co_filename


class Cancelled(BaseException):
    """Raised within a task that should stop."""


class Refused(Exception):
    """What a user should read as it stands."""


class Task:
    """What is called for each task."""

    def __init__(self, function, items):
        self.function = asyncio_runner(function) if inspect.iscoroutinefunction(function) else function
        self.arguments = count_arguments(function)
        self.items = items

    def __call__(self, index, data):
        if self.arguments == 0:
            return self.function()
        item = None if data is None else self.item(index, data)
        if self.arguments == 2:
            return self.function(index, item)
        return self.function(index if data is None else item)

    def item(self, index, data):
        if self.items == "bytes":
            return data
        try:
            return data.decode() if self.items == "text" else json.loads(data)
        except UnicodeDecodeError as error:
            raise Refused(f"the input of task {index} is not UTF-8: {error}; take items=bytes") from None
        except ValueError as error:
            raise Refused(f"the input of task {index} is not JSON: {error}; take items=text") from None


def asyncio_runner(function):
    import asyncio  # It takes longer to load than all else here, and few need it.
    return lambda *arguments: asyncio.run(function(*arguments))


def count_arguments(function):
    """Arguments without a default, and one where all have defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1  # A builtin that does not say.
    named = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    needed = sum(each.default is each.empty for each in named)
    if needed > 2:
        raise Refused(f"{name_of(function)} needs {needed} arguments; it can have the index, or the index and the item")
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and each.default is each.empty:
            raise Refused(f"{name_of(function)} needs the argument {each.name} by its name; give it a default")
    takes_more = bool(named) or any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return needed or int(takes_more)


def name_of(function):
    return getattr(function, "__name__", repr(function))


class Lines:
    """A stream that whole lines leave as soon as they end, so that those of several threads are not mixed up, and into a
    pipe no line waits until a buffer is full."""

    def __init__(self, stream):
        self.stream = stream
        self.begun = threading.local()

    @classmethod
    def over(cls, stream):
        return stream if stream is None or isinstance(stream, cls) else cls(stream)

    def write(self, text):
        begun = getattr(self.begun, "text", "") + text
        lines, end, self.begun.text = begun.rpartition("\n")
        if end:
            self.stream.write(lines + end)
            self.stream.flush()
        return len(text)

    def writelines(self, texts):
        for text in texts:
            self.write(text)

    def end_line(self):
        if getattr(self.begun, "text", ""):
            self.write("\n")

    def flush(self):
        self.stream.flush()

    def __getattr__(self, name):
        return getattr(self.stream, name)


def end_lines():
    """What a task leaves of a line is not to stand before what the next one writes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Lines):
            stream.end_line()


task = None


def load(settings):
    """Makes ready what is called for each task; a reply."""
    global task
    settings = json.loads(settings)
    try:
        sys.stdout, sys.stderr = Lines.over(sys.stdout), Lines.over(sys.stderr)
        function = from_file(settings) if settings["file"] else from_code(settings["code"])
        task = Task(function, settings["items"])
        return DONE + b"null"
    except BaseException as error:
        return FAILED + describe(error)


def from_file(settings):
    path, name = settings["file"], settings["function"]
    sys.path.insert(0, os.path.dirname(path))
    sys.argv = [path]
    module = new_module(module_name(path), path)
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items()
                 if inspect.isfunction(value) and value.__module__ == module.__name__]
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise Refused(f"it has no function {name}; {there}: function=NAME says which is called")
    return function


def module_name(path):
    stem = os.path.splitext(os.path.basename(path))[0]
    # A file called like a module of Python's own must not stand in its place.
    taken = stem in sys.modules or stem in getattr(sys, "stdlib_module_names", sys.builtin_module_names)
    return stem if stem.isidentifier() and not taken else "muster_file"


def new_module(name, path):
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    return module


def from_code(code):
    """The code as the body of a function; its last expression is what it returns."""
    sys.path.insert(0, os.getcwd())
    tree = ast.parse(code, CODE_NAME)
    if not tree.body:
        raise Refused("it is empty; give an expression or statements, for example code='index * 2'")
    linecache.cache[CODE_NAME] = (len(code), None, code.splitlines(True), CODE_NAME)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(ast.Return(last.value), last)
    definition = ast.parse("def code(index, item): pass", CODE_NAME)
    definition.body[0].body = tree.body
    module = new_module("muster_code", CODE_NAME)
    exec(compile(definition, CODE_NAME, "exec"), module.__dict__)
    return module.code


def call(request):
    """Runs a task; a reply."""
    index, has_input = REQUEST.unpack_from(request)
    try:
        result = task(index, request[REQUEST.size:] if has_input else None)
        end_lines()
        return DONE + dump(result)
    except Cancelled:
        return CANCELLED
    except Refused as error:
        return FAILED + describe(error)
    except BaseException as error:
        print_traceback(error)
        return FAILED + describe(error)


def dump(result):
    try:
        return json.dumps(result, allow_nan=False, default=plain).encode()
    except (TypeError, ValueError) as error:
        shown = repr(result)
        raise Refused(f"the result is no JSON: {error}; it is {shown[:200]}") from None


def plain(value):
    """Numbers and arrays of numpy, and what is like them."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def print_traceback(error):
    """The whole of it, for the log."""
    try:
        end_lines()
        lines = traceback.format_exception(type(error), error, own_frames_off(error.__traceback__))
        sys.stderr.write("".join(lines))
    except Cancelled:
        raise
    except BaseException:
        pass  # A stream that the user has closed, or an exception that cannot be printed.


def own_frames_off(trace):
    while trace is not None and trace.tb_frame.f_code.co_filename == HERE:
        trace = trace.tb_next
    return trace


def describe(error):
    """What failed, in one line."""
    try:
        words = str(error)
    except Exception as other:
        words = f"(its text cannot be had: {type(other).__name__})"
    if not isinstance(error, Refused):
        kind = type(error).__qualname__
        words = f"{kind}: {words}" if words else kind
        words += where(error)
    if isinstance(error, SystemExit):
        words += "; a task ends with return, and exits are for programs"
    return " ".join(words.split()).encode("utf-8", "backslashreplace")


def where(error):
    """The last line of the traceback, and the last one of the user's own when that is another."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != HERE]
    # What does not compile says itself where.
    if not frames or isinstance(error, SyntaxError):
        return ""
    own = frames[0].filename
    places = [frames[-1]] + [frame for frame in reversed(frames) if frame.filename == own][:1]
    shown = [f"{frame.filename}, line {frame.lineno}, in {frame.name}" for frame in places]
    shown = shown[:1] if shown[0] == shown[-1] else shown
    line = f": {frames[-1].line}" if frames[-1].line else ""
    return f" ({', called by '.join(shown)}{line})"

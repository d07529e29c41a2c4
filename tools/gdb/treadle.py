"""Treadle's threads in gdb: `source tools/gdb/treadle.py`, then

    treadle threads            all threads: number, name, state, what they wait for
    treadle backtrace ID ...   the backtrace of one, also a parked one; the rest goes to `backtrace`

For programs built with Treadle and for those under `treadle run`; also for core files. It needs
no debug information, only that neither the program nor the shim has been stripped: the table that
it reads is treadle/thread/debugger_table.hpp. docs/debugging.md has examples.

A parked thread is on no kernel thread. Its backtrace is made by telling gdb that the innermost
frame of the current kernel thread was called from where the parked thread stopped; nothing of the
program is changed.
"""

import re
import struct

import gdb
import gdb.unwinder

WORD = 8
# As in debugger_table.hpp, in its order.
FIELDS = ["carving", "slabs", "first_used", "first_slab", "first_slab_bytes", "slab_bytes",
          "record_bytes", "resume", "body", "id", "now", "bound", "owner", "stack", "name",
          "name_bytes", "kernel_id", "states", "state_count", "reasons", "reason_count"]
MARK = b"treadle1"
# As in shim/program_thread.cpp.
SHIM_FIELDS = ["book", "first", "next", "id", "self", "last_call", "occupant"]
SHIM_MARK = b"trdshim1"
# Of a CPU: where it goes on, the stack, the frame; and the base that finds the shim's seat.
REGISTERS = {"i386:x86-64": ("rip", "rsp", "rbp"), "aarch64": ("pc", "sp", "x29")}
# Names of system calls that a thread of the shim may be waiting in; others are numbers.
CALLS = {0: "read", 1: "write", 7: "poll", 20: "writev", 23: "select", 34: "pause",
         35: "nanosleep", 43: "accept", 44: "sendto", 45: "recvfrom", 47: "recvmsg", 61: "wait4",
         128: "sigtimedwait", 130: "sigsuspend", 202: "futex", 230: "clock_nanosleep",
         232: "epoll_wait", 247: "waitid", 270: "pselect", 271: "ppoll", 281: "epoll_pwait",
         288: "accept4"}


def memory(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("=Q", memory(address, WORD))[0]


def number(address):
    return struct.unpack("=i", memory(address, 4))[0]


def text(address, limit=64):
    return memory(address, limit).split(b"\0")[0].decode("ascii", "replace")


def address_of(symbol):
    """None where there is no such symbol."""
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&{symbol}"))
    except gdb.error:
        return None


def read_table(symbol, mark, fields):
    address = address_of(symbol)
    if address is None:
        return None
    words = memory(address, WORD * (len(fields) + 1))
    if words[:WORD] != mark:
        raise gdb.GdbError(f"{symbol} is of another version of Treadle than this script")
    return dict(zip(fields, struct.unpack(f"={len(fields)}Q", words[WORD:])))


class Thread:
    """One record, as it is now."""

    def __init__(self, table, record):
        self.table = table
        self.record = record
        state, reason = memory(record + table["now"], 2)
        self.state = text(word(table["states"] + WORD * state))
        self.reason = text(word(table["reasons"] + WORD * reason))
        self.id = number(record + table["id"])
        self.body = word(record + table["body"]) if memory(record + table["bound"], 1)[0] else 0
        if self.body and word(self.body + table["owner"]) != record:
            self.body = 0  # its stack is another one's by now

    def name(self):
        return text(self.body + self.table["name"], self.table["name_bytes"]) if self.body else ""

    def kernel_id(self):
        return number(self.body + self.table["kernel_id"]) if self.body else 0

    def has_on_stack(self, address):
        if not self.body:
            return False
        bottom = word(self.body + self.table["stack"])
        return bottom != 0 and bottom <= address < word(self.body + self.table["stack"] + WORD)

    def saved_registers(self):
        """Where it goes on, its stack pointer, its frame pointer."""
        stack = word(self.record + self.table["resume"])
        frame = word(self.record + self.table["resume"] + WORD)
        return word(frame), stack, word(frame + WORD)


def records(table):
    """Addresses of all records that have ever been a thread."""
    size = table["record_bytes"]
    if memory(table["first_used"], 1)[0] == 0:
        return
    carving, slab = word(table["carving"]), word(table["slabs"])
    end = carving if slab == 0 else table["first_slab"] + table["first_slab_bytes"]
    yield from range(table["first_slab"], end, size)
    youngest = True
    while slab != 0:
        end = carving if youngest else slab + table["slab_bytes"]
        yield from range(slab + size, end, size)  # the first one is the slab's own note
        youngest = False
        slab = word(slab)


def all_threads():
    table = read_table("treadle_debugger_table", MARK, FIELDS)
    if table is None:
        raise gdb.GdbError("no Treadle here: neither the program nor a library of it has the "
                           "symbol treadle_debugger_table (stripped?), or it has not begun")
    found = [Thread(table, record) for record in records(table)]
    return [one for one in found if one.state not in ("free", "fresh")]


def program_threads():
    """Of a program under `treadle run`, by record: the program's own number and its last call."""
    table = read_table("treadle_shim_debugger_table", SHIM_MARK, SHIM_FIELDS)
    found = {}
    if table is None:
        return found
    one = word(table["book"] + table["first"])
    while one != 0:
        call = struct.unpack("=q", memory(one + table["last_call"], WORD))[0]
        found[word(one + table["self"])] = (number(one + table["id"]), call, one)
        one = word(one + table["next"])
    return found


class KernelThreads:
    """Who runs where: looked up once, as it means to select each kernel thread in turn."""

    def __init__(self):
        self.all = []
        shim = read_table("treadle_shim_debugger_table", SHIM_MARK, SHIM_FIELDS)
        before = gdb.selected_thread()
        for one in gdb.selected_inferior().threads():
            one.switch()
            frame = gdb.newest_frame()
            registers = REGISTERS.get(frame.architecture().name())
            if registers is None:
                raise gdb.GdbError(f"not for this CPU: {frame.architecture().name()}")
            stack = int(frame.read_register(registers[1])) & (2**64 - 1)
            occupant = 0
            if shim is not None:
                seat = int(frame.read_register("gs_base")) & (2**64 - 1)
                occupant = word(seat + shim["occupant"]) if seat else 0
            self.all.append((one, stack, occupant))
        if before is not None:
            before.switch()

    def under(self, thread, occupant):
        """The kernel thread that runs it, or None."""
        for one, stack, _ in self.all:
            if thread.has_on_stack(stack):
                return one
        if thread.state == "running":
            for one, _, sits in self.all:
                if occupant and sits == occupant:
                    return one
        kernel_id = thread.kernel_id()
        for one, _, _ in self.all:
            if kernel_id and kernel_id in one.ptid[1:]:
                return one
        return None


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While `parked` is set, the innermost frame's caller is where that thread stopped."""

    def __init__(self):
        super().__init__("treadle")
        self.parked = None
        self.live = None

    def __call__(self, pending):
        if self.parked is None:
            return None
        names = REGISTERS[pending.architecture().name()]
        now = [pending.read_register(name) for name in names]
        if tuple(int(value) for value in now[:2]) != self.live:
            return None

        class FrameId:
            # Below all of the parked thread's frames, so that gdb finds their order right.
            sp = gdb.Value(self.parked[1] - 2 * WORD)
            pc = now[0]

        unwound = pending.create_unwind_info(FrameId())
        for name, value, saved in zip(names, now, self.parked):
            unwound.add_saved_register(name, gdb.Value(saved).cast(value.type))
        return unwound

    def set(self, registers):
        """From now on the caller is there; None: as it is."""
        self.parked = None
        gdb.invalidate_cached_frames()
        if registers is None:
            return
        frame = gdb.newest_frame()
        names = REGISTERS[frame.architecture().name()]
        self.live = tuple(int(frame.read_register(name)) for name in names[:2])
        self.parked = registers
        gdb.invalidate_cached_frames()


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def words_at(address, *offsets):
    return tuple(word(address + offset) for offset in offsets)


def crossing(frame):
    """Where the stack goes on when it goes on elsewhere, which gdb takes for a fault; or None.

    Under the shim: the door between the runtime's stack and the program's (saved_call.hpp), and the
    end of a signal handler, whose interrupted registers the kernel has put there (ucontext_t).
    """
    if frame.architecture().name() != "i386:x86-64":
        return None
    stack = int(frame.read_register("rsp")) & (2**64 - 1)
    if frame.name() == "treadle_shim_door":
        return words_at(stack, 384, 392, 336)
    if frame.pc() == address_of("treadle_shim_restorer"):
        return words_at(stack, 168, 160, 120)
    return None


def print_backtrace(registers, arguments):
    """Of the current kernel thread, or from a parked thread's registers, across all its stacks."""
    words = arguments.split()
    most = next((int(each) for each in words if each.isdigit()), None)
    options = " ".join(each for each in words if not each.isdigit())
    level = 0
    try:
        while most is None or level < most:
            UNWINDER.set(registers)
            hidden = 0 if registers is None else 1  # the current kernel thread's own frame
            frame = gdb.newest_frame()
            if hidden:
                frame = frame.older()
            count, beyond = 0, None
            while frame is not None and beyond is None and (most is None or level + count < most):
                count += 1
                beyond = crossing(frame)
                frame = frame.older() if beyond is None else None
            text_of_part = gdb.execute(f"backtrace {options} {count + hidden}", to_string=True)
            at = -1  # the frame that the lines belong to
            for line in text_of_part.splitlines():
                mark, _, rest = line.partition(" ")
                if re.fullmatch(r"#\d+", mark):
                    at = int(mark[1:])
                    line = f"#{level + at - hidden:<3}{rest.lstrip()}"
                if at >= hidden and not line.startswith("(More stack"):
                    print(line)
            level += count
            if beyond is None or count == 0:
                return
            registers = beyond
    finally:
        UNWINDER.set(None)


def call_name(number_of_call):
    return CALLS.get(number_of_call, f"call {number_of_call}")


class TreadlePrefix(gdb.Command):
    """Treadle's threads: `treadle threads` and `treadle backtrace ID`."""

    def __init__(self):
        super().__init__("treadle", gdb.COMMAND_STACK, prefix=True)


class TreadleThreads(gdb.Command):
    """All Treadle threads: number, name, state, what they wait for."""

    def __init__(self):
        super().__init__("treadle threads", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        shims = program_threads()
        kernel = KernelThreads()
        for one in sorted(all_threads(), key=lambda thread: thread.id):
            own, call, record = shims.get(one.record, (0, 0, 0))
            line = f"{one.id:>6}  {one.state:8} {one.reason or '-':14}"
            if own:
                line += f" pthread {own}"
                if one.state == "parked":
                    line += f" in {call_name(call)}"
            if one.name():
                line += f" \"{one.name()}\""
            runs_on = kernel.under(one, record)
            if runs_on is not None:
                line += f" on kernel thread {runs_on.ptid[1]} (gdb's {runs_on.num})"
            print(line)


class TreadleBacktrace(gdb.Command):
    """The backtrace of a Treadle thread: `treadle backtrace ID`, and what `backtrace` takes."""

    def __init__(self):
        super().__init__("treadle backtrace", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted, _, rest = argument.strip().partition(" ")
        if not wanted.isdigit():
            raise gdb.GdbError(f"the thread is \"{wanted}\", allowed are the numbers of `treadle "
                               "threads`")
        one = next((each for each in all_threads() if each.id == int(wanted)), None)
        if one is None:
            raise gdb.GdbError(f"there is no thread {wanted}: `treadle threads` lists all")
        record = program_threads().get(one.record, (0, 0, 0))[2]
        runs_on = KernelThreads().under(one, record)
        if runs_on is not None:
            before = gdb.selected_thread()
            runs_on.switch()
            try:
                print_backtrace(None, rest)
            finally:
                before.switch()
        elif not one.body:
            print(f"thread {wanted} has no stack: it has not run yet, or has ended")
        else:
            print_backtrace(one.saved_registers(), rest)


TreadlePrefix()
TreadleThreads()
TreadleBacktrace()

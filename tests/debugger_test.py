"""gdb must find its way out of a treadle thread in every model: the backtrace of a stopped thread
shows the user's frames and ends at the thread's start, with no garbage behind it.

Exit status 77: there is no gdb here, or it may not trace.
"""

import os
import re
import shutil
import subprocess
import sys

SKIP = 77
USER_FRAMES = ["stop_here", "user_inner", "user_middle", "user_middle", "user_middle",
               "user_middle", "user_outer"]
GARBAGE = ["corrupt stack", "Backtrace stopped", "Cannot access memory", "?? ()"]
FRAME = re.compile(r"^#(\d+)\s+(?:0x[0-9a-f]+ in )?(.+?) \(", re.MULTILINE)


def gdb(program, model, commands):
    arguments = ["gdb", "-batch", "-nx", "-ex", "set pagination off",
                 "-ex", "set debuginfod enabled off"]
    for command in commands:
        arguments += ["-ex", command]
    # The search for leaks traces the process itself, and cannot beside gdb.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(arguments + ["--args", program, model], text=True, timeout=240,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False).stdout


def check_one(text, what):
    """The faults of one backtrace."""
    faults = [f"{what}: {sign!r}" for sign in GARBAGE if sign in text]
    frames = [name for _, name in FRAME.findall(text)]
    names = [re.sub(r"<.*>", "", name).split("::")[-1] for name in frames]
    if names[:len(USER_FRAMES)] != USER_FRAMES:
        faults.append(f"{what}: begins with {names[:len(USER_FRAMES)]}")
    # Guess: the user's frames, and what the library puts below them.
    if len(frames) > len(USER_FRAMES) + 24:
        faults.append(f"{what}: {len(frames)} frames")
    return faults


def main():
    if shutil.which("gdb") is None:
        print("no gdb")
        return SKIP
    program = os.path.join(os.environ["TREADLE_PROGRAMS_DIR"], "backtrace")
    faults = []
    for model in ("m:1", "1:1", "m:n"):
        text = gdb(program, model, ["break stop_here", "run", "echo FIRST\\n", "bt", "continue",
                                    "echo SECOND\\n", "bt", "continue"])
        if "ptrace: Operation not permitted" in text:
            print("gdb may not trace here")
            return SKIP
        if "FIRST" not in text or "SECOND" not in text or "done" not in text:
            faults.append(f"{model}: gdb did not get through")
        parts = re.split(r"^(?:FIRST|SECOND)$", text, flags=re.MULTILINE)
        found = []
        for name, part in zip(("thread", "scope"), parts[1:]):
            found += check_one(part.split("Continuing")[0], f"{model} {name}")
        if found:
            print(text)
        faults += found
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

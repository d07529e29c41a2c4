"""Runs a test program, and says where it stands when it does not end.

    watched.py SECONDS PROGRAM [ARGUMENT...]

Ends as the program ends. After SECONDS it prints the stacks of all its kernel threads, as far as a
debugger is there and may look, kills it and ends with 124. ctest itself only says that it killed
something.
"""

import pathlib
import shutil
import signal
import subprocess
import sys

FRAMES = 14
LINES_MAX = 400


def kernel_threads(pid):
    """What /proc says of each: its name, state, processor time and system call."""
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
        said = []
        for name in ("comm", "stat", "wchan", "syscall"):
            try:
                text = (task / name).read_text().strip()
            except OSError:
                text = "?"
            if name == "stat":
                fields = text.rpartition(")")[2].split()
                text = f"{fields[0]} user {fields[11]} system {fields[12]}" if fields else "?"
            said.append(text)
        yield f"  {task.name}: " + ", ".join(said)


def stacks(pid):
    debugger = shutil.which("gdb")
    if debugger is None:
        return ["  (no gdb, so no stacks)"]
    command = [debugger, "-p", str(pid), "-batch", "-nx", "-ex", "set pagination off"]
    command += ["-ex", f"thread apply all backtrace {FRAMES}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return ["  (gdb did not end)"]
    return [line for line in done.stdout.splitlines() if line.startswith(("#", "Thread"))]


def main():
    seconds = float(sys.argv[1])
    program = sys.argv[2:]
    with subprocess.Popen(program) as running:
        try:
            status = running.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"{program[0]}: still runs after {seconds:.0f} s", flush=True)
            report = list(kernel_threads(running.pid)) + stacks(running.pid)
            print("\n".join(report[:LINES_MAX]), flush=True)
            running.kill()
            return 124
    if status < 0:
        # As a shell would: the same signal ends this one.
        print(f"{program[0]}: {signal.Signals(-status).name}", flush=True)
        return 128 - status
    return status


if __name__ == "__main__":
    sys.exit(main())

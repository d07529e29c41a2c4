#!/usr/bin/env python3
"""The peer "nginx": one worker of Debian's nginx, which answers with constant bytes after parsing.

    nginx.py http 1 1 1        serves until it is killed; its line says the port, as in listener.hpp
    nginx.py --version

The configuration is written into a temporary folder (TMPDIR says where), which whoever starts this
removes. The port is any that is free: this process listens, and hands the socket over by NGINX=,
as nginx does to its successor when it is upgraded.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

STATUS_WRONG = 1
STATUS_USAGE = 2
STATUS_NO_SUCH_WORKLOAD = 3

# Beyond what is needed to be started here: no log of accesses, connections that are never closed
# for their number of requests, and room for 10,000 of them. The rest is as it comes.
CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  default_type text/plain;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = / {{ return 200 "Hello, World!"; }}
  }}
}}
"""


def end(status, what):
    print(what, file=sys.stderr)
    sys.exit(status)


def find():
    """Debian's nginx is where an ordinary user's PATH does not look."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    return found or end(STATUS_WRONG, "no nginx (Debian: nginx)")


def version(program):
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return "nginx " + re.search(r"nginx/(\S+)", said)[1]


def serve(program):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nginx."))
    door = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = door.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port), encoding="utf-8")
    os.set_inheritable(door.fileno(), True)
    print(json.dumps({"port": port}), flush=True)
    os.execve(program, [program, "-p", str(folder), "-c", str(configuration), "-e", "stderr"],
              os.environ | {"NGINX": f"{door.fileno()};"})


def main():
    words = sys.argv[1:]
    program = find()
    if words == ["--version"]:
        print(version(program))
    elif len(words) != 4:
        end(STATUS_USAGE, "nginx.py WORKLOAD WORKERS REPETITIONS COUNT")
    elif words[0] != "http":
        end(STATUS_NO_SUCH_WORKLOAD, f"has no workload {words[0]}")
    else:
        serve(program)


if __name__ == "__main__":
    main()

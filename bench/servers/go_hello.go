// The peer of servers.py: hello over HTTP by Go's net/http, with its own parser.
//
// Listens on any free port of 127.0.0.1 and prints it; ends by a signal.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", door.Addr())
	hello := func(out http.ResponseWriter, in *http.Request) {
		out.Header().Set("Content-Type", "text/plain")
		io.WriteString(out, "Hello, World!")
	}
	fmt.Fprintln(os.Stderr, http.Serve(door, http.HandlerFunc(hello)))
	os.Exit(1)
}

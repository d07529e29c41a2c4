package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// Runs until it is killed. What package net/http says of itself: a handler, and Serve. It parses,
// answers with a Date, and has a goroutine for each connection.
func serveHTTP() {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Printf("{\"port\": %d}\n", door.Addr().(*net.TCPAddr).Port)
	http.HandleFunc("GET /{$}", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/plain")
		io.WriteString(out, "Hello, World!")
	})
	must(http.Serve(door, nil))
}

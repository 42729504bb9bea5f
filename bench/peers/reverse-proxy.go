// Go's own reverse proxy, which Knative's queue-proxy is built on, with the idle connections that its busiest case
// needs. Usage: reverse-proxy PORT ORIGIN-PORT
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	origin, err := url.Parse("http://127.0.0.1:" + os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(origin)
	proxy.Transport = &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, DisableCompression: true}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], proxy))
}

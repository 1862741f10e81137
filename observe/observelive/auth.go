package observelive

import (
	"errors"
	"net"
	"net/http"
	"strings"
)

var errNotLoopback = errors.New("observelive: only loopback is served without Auth")

// authorize calls the caller's Auth; a panic in it refuses.
func (l *Live) authorize(r *http.Request) (err error) {
	if l.cfg.Auth == nil {
		return loopbackOnly(r)
	}
	defer func() {
		if recover() != nil {
			err = errors.New("observelive: Auth panicked")
		}
	}()
	return l.cfg.Auth(r)
}

// loopbackOnly lets a request pass whose peer and whose Host header are both loopback and which
// no proxy forwarded. The Host is compared because a page on another site may resolve its own
// name to 127.0.0.1 (DNS rebinding).
func loopbackOnly(r *http.Request) error {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !isLoopbackIP(peer) {
		return errNotLoopback
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return errNotLoopback
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") || isLoopbackIP(host) {
		return nil
	}
	return errNotLoopback
}

func isLoopbackIP(s string) bool {
	s, _, _ = strings.Cut(s, "%") // zone
	ip := net.ParseIP(s)
	return ip != nil && ip.IsLoopback()
}

// Package metrics tells a monitoring system how a mount does, in Prometheus' text format
// over HTTP. It knows how states are named there, and asks the daemon for them when it
// is asked itself; it keeps nothing.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ftpfs/cmd/internal/control"
)

// What who asks may use. It may be anybody who reaches the port.
const (
	mostAsking = 4                // at a time; others are told 503
	askTime    = 10 * time.Second // for a request to come, and for its answer to be taken
	mostHeader = 8 << 10          // bytes
	closeTime  = time.Second      // for those under way at the end
)

// Server answers GET /metrics.
type Server struct {
	http http.Server
	at   net.Listener
}

// Listen begins to answer at addr, HOST:PORT. status must be fit to be called at any time
// until Close returns, by several at once.
func Listen(addr string, status func() control.Status, log *slog.Logger) (*Server, error) {
	all := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{mount{status}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector()} {
		if err := all.Register(c); err != nil {
			return nil, err
		}
	}
	at, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics=%s: %w; each mount needs an address of its own", addr, err)
	}
	complaints := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(all, promhttp.HandlerOpts{MaxRequestsInFlight: mostAsking, Timeout: askTime, ErrorLog: complaints}))
	s := &Server{at: at, http: http.Server{Handler: mux, MaxHeaderBytes: mostHeader, ErrorLog: complaints,
		ReadTimeout: askTime, WriteTimeout: 2 * askTime, IdleTimeout: time.Minute}}
	go func() {
		if err := s.http.Serve(at); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not told any more", "error", err)
		}
	}()
	return s, nil
}

// Addr is where it answers.
func (s *Server) Addr() string { return s.at.Addr().String() }

// Close ends it. What is being answered has a moment for that.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}

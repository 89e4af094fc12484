package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ftpfs/cmd/internal/control"
)

// mount collects what the status of one mount has.
type mount struct{ status func() control.Status }

// metric is a number of a status.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s control.Status) float64
}

func gauge(name, help string, of func(s control.Status) float64) metric {
	return metric{prometheus.NewDesc("ftpfs_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(s control.Status) float64) metric {
	return metric{prometheus.NewDesc("ftpfs_"+name+"_total", help, nil, nil), prometheus.CounterValue, of}
}

// info has the words of a status as labels.
var info = prometheus.NewDesc("ftpfs_info", "What is mounted where; always 1.", []string{"url", "mountpoint", "version", "state", "software", "tls"}, nil)

var metrics = []metric{
	gauge("start_time_seconds", "When this mount began, in seconds since 1970.", func(s control.Status) float64 { return float64(s.Since.UnixMilli()) / 1000 }),
	gauge("server_up", "1 if the server answers, as far as is known.", func(s control.Status) float64 { return truth(s.Cache.Online) }),
	gauge("login_refused", "1 if the server does not let this user in.", func(s control.Status) float64 { return truth(s.Connections.Refused != "") }),

	gauge("owed_files", "Files that are to be sent to the server, without parked ones.", func(s control.Status) float64 { return float64(s.Cache.OwedFiles) }),
	gauge("owed_bytes", "Their bytes.", func(s control.Status) float64 { return float64(s.Cache.OwedBytes) }),
	gauge("owed_open_files", "How many of them a program has open for writing.", func(s control.Status) float64 { return float64(s.Cache.Open) }),
	gauge("owed_oldest_age_seconds", "For how long the oldest of them, or of the parked ones, is owed.", oldest),
	gauge("parked_files", "Files that the server refused, or that a crash cut off: a person must look.", func(s control.Status) float64 { return float64(s.Cache.Parked) }),
	gauge("quarantined_files", "Files in the spool that could not be believed after a crash.", func(s control.Status) float64 { return float64(s.Cache.Quarantined) }),
	gauge("conflicts", "Files kept beside the server's in the last 30 days, 100 at most.", func(s control.Status) float64 { return float64(len(s.Cache.Conflicts)) }),

	gauge("spool_used_bytes", "What is owed takes on this disk.", func(s control.Status) float64 { return float64(s.Cache.SpoolUsed) }),
	gauge("spool_size_bytes", "What it may take.", func(s control.Status) float64 { return float64(s.Cache.SpoolSize) }),
	gauge("cache_used_bytes", "Content of the server's files on this disk.", func(s control.Status) float64 { return float64(s.Cache.CacheUsed) }),
	gauge("cache_size_bytes", "What it may take.", func(s control.Status) float64 { return float64(s.Cache.CacheSize) }),
	gauge("known_entries", "Entries of directories in memory.", func(s control.Status) float64 { return float64(s.Cache.Entries) }),
	gauge("known_directories", "Listings in memory.", func(s control.Status) float64 { return float64(s.Cache.Listings) }),

	gauge("connections_busy", "Connections in use.", func(s control.Status) float64 { return float64(s.Connections.Busy) }),
	gauge("connections_idle", "Connections that wait for something to do.", func(s control.Status) float64 { return float64(s.Connections.Idle) }),
	gauge("connections_max", "How many there may be, by max_conns.", func(s control.Status) float64 { return float64(s.Connections.Max) }),
	gauge("connections_waiting", "Who waits for one.", func(s control.Status) float64 { return float64(s.Connections.Waiting) }),
	counter("logins", "Logins.", func(s control.Status) float64 { return float64(s.Connections.Logins) }),
	counter("commands", "FTP commands sent.", func(s control.Status) float64 { return float64(s.Connections.Commands) }),
	counter("received_bytes", "Bytes that came over data connections.", func(s control.Status) float64 { return float64(s.Connections.Received) }),
	counter("sent_bytes", "Bytes that went over data connections.", func(s control.Status) float64 { return float64(s.Connections.Sent) }),
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// oldest is an age in seconds; 0 if nothing is owed.
func oldest(s control.Status) float64 {
	var age time.Duration
	for _, o := range s.Cache.Owed {
		age = max(age, time.Since(o.Since))
	}
	return age.Seconds()
}

// valid is s as labels must be: UTF-8, which a path need not be.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Describe is of prometheus.Collector.
func (mount) Describe(ch chan<- *prometheus.Desc) {
	ch <- info
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect is of prometheus.Collector.
func (c mount) Collect(ch chan<- prometheus.Metric) {
	s := c.status()
	tls := s.Connections.TLS.Version
	if tls == "" {
		tls = "none"
	}
	ch <- prometheus.MustNewConstMetric(info, prometheus.GaugeValue, 1, valid(s.URL), valid(s.Mountpoint), s.Version, s.State, valid(s.Connections.Software), tls)
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
}

package main

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"foyer/acd"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/rtp"
	"foyer/sip"
)

// metrics is what Prometheus sees. Counters are bumped where the thing happens;
// gauges are read from the parts that own the truth when a scrape comes (gauges).
// No label is unbounded: never a caller, a call or an agent.
type metrics struct {
	registry *prometheus.Registry

	requests, responses, retransmissions, parseErrors, authFailures *prometheus.CounterVec
	registrations                                                   *prometheus.CounterVec
	calls, trunkCalls                                               *prometheus.CounterVec
	callSeconds                                                     *prometheus.HistogramVec
	queueWait                                                       *prometheus.HistogramVec
	offers                                                          *prometheus.CounterVec
	agentMoves                                                      *prometheus.CounterVec
	mos                                                             *prometheus.HistogramVec
	oneWay, noMedia                                                 *prometheus.CounterVec
	recordings, recordingMissing                                    *prometheus.CounterVec
	postDial                                                        *prometheus.HistogramVec
	callbacks                                                       *prometheus.CounterVec
	linkLost                                                        *prometheus.CounterVec
	shed, dialRefused                                               *prometheus.CounterVec

	config, reloadFine, reloadAt *prometheus.GaugeVec

	lost map[acd.CallID]bool // calls whose agent's line is gone; of the board's goroutine
}

func newMetrics(version string) *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &metrics{registry: r, lost: map[acd.CallID]bool{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "foyer_" + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "foyer_" + name, Help: help, Buckets: buckets}, labels)
		r.MustRegister(h)
		return h
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "foyer_" + name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	gauge("build_info", "What is running; always 1.", "version", "goversion").WithLabelValues(version, runtime.Version()).Set(1)
	m.config = gauge("config_info", "The configuration that is served, by the hash of its text; always 1.", "hash")
	m.reloadFine = gauge("config_reload_success", "1 when the last reload was taken over, 0 when it was refused and the configuration before still counts.")
	m.reloadAt = gauge("config_last_reload_timestamp_seconds", "When a configuration was last taken over.")

	m.requests = counter("sip_requests_total", "SIP requests on the wire.", "method", "transport", "direction")
	m.responses = counter("sip_responses_total", "SIP responses on the wire.", "method", "code", "direction")
	m.retransmissions = counter("sip_retransmissions_total", "SIP messages that came or went again.", "method")
	m.parseErrors = counter("sip_parse_errors_total", "Datagrams or stream messages that were not SIP.", "transport")
	m.authFailures = counter("sip_auth_failures_total", "Requests whose digest failed.", "reason")
	m.shed = counter("sip_shed_total", "SIP messages that were not looked at: the source is banned, a scanner, a stranger not answered to this, or too fast; all strangers, or everybody, are.", "reason")
	m.dialRefused = counter("dial_refused_total", "Numbers of the public network that were not called, or calls ended, by reason.", "reason")
	m.registrations = counter("registration_events_total", "What became of agents' registrations.", "event")
	m.calls = counter("calls_total", "Customer calls ended.", "client", "direction", "outcome")
	m.trunkCalls = counter("trunk_calls_total", "Calls ended, by trunk.", "trunk", "direction", "outcome")
	m.callSeconds = histogram("call_duration_seconds", "From INVITE to the end.", []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600}, "client")
	m.queueWait = histogram("queue_wait_seconds", "From entering a queue to its end.", []float64{5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600}, "queue", "client", "outcome")
	m.offers = counter("agent_offers_total", "What became of offers to agents.", "result")
	m.agentMoves = counter("agent_moves_total", "Agents' changes of state.", "state", "reason")
	m.callbacks = counter("callbacks_total", "What became of promises to call back.", "queue", "result")
	m.linkLost = counter("link_lost_total", "Lines of agents lost in a talk: the sound came back, the agent was rung at another phone, was gone for good, or the caller left before.", "result")
	for _, result := range []string{"back", "rung_back", "gone", "left"} {
		m.linkLost.WithLabelValues(result) // an alert must see the first one grow from 0
	}
	m.mos = histogram("rtp_mos", "Estimated voice quality of received audio at the end of a leg.", []float64{1, 2, 2.5, 3, 3.3, 3.6, 3.8, 4, 4.1, 4.2, 4.3, 4.4}, "leg")
	m.oneWay = counter("rtp_one_way_calls_total", "Legs we sent audio to and never heard from.", "leg")
	m.noMedia = counter("rtp_no_media_timeouts_total", "Talking legs ended for silence on the wire.", "leg")
	m.recordings = counter("recordings_total", "Recordings closed.", "policy", "result")
	m.recordingMissing = counter("recording_missing_total", "Calls that should have been recorded and were not.", "policy")
	m.postDial = histogram("sip_post_dial_delay_seconds", "From the caller's INVITE to the first ringing phone.", []float64{.001, .002, .004, .008, .016, .05, .1, .5, 1, 5}, "trunk")
	return m
}

// reloaded notes how a reload went, and which configuration is served after it.
func (m *metrics) reloaded(sum string, at time.Time, err error) {
	if err != nil {
		m.reloadFine.WithLabelValues().Set(0)
		return
	}
	m.config.Reset()
	m.config.WithLabelValues(sum).Set(1)
	m.reloadFine.WithLabelValues().Set(1)
	m.reloadAt.WithLabelValues().Set(float64(at.Unix()))
}

// Request, Response and the rest make metrics the edge's sip.Counters.
func (m *metrics) Request(method, transport string, out bool) {
	m.requests.WithLabelValues(knownMethod(method), transport, direction(out)).Inc()
}

func (m *metrics) Response(method string, code int, out bool) {
	m.responses.WithLabelValues(knownMethod(method), strconv.Itoa(code), direction(out)).Inc()
}

func (m *metrics) ParseError(transport string) { m.parseErrors.WithLabelValues(transport).Inc() }
func (m *metrics) AuthFailure(reason string)   { m.authFailures.WithLabelValues(reason).Inc() }
func (m *metrics) Retransmission(method string) {
	m.retransmissions.WithLabelValues(knownMethod(method)).Inc()
}

// knownMethod keeps a stranger from filling the label with inventions.
func knownMethod(method string) string {
	switch method {
	case "INVITE", "ACK", "CANCEL", "BYE", "REGISTER", "OPTIONS", "UPDATE", "INFO", "PRACK",
		"REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH":
		return method
	}
	return "other"
}

func direction(out bool) string {
	if out {
		return "out"
	}
	return "in"
}

// legNames are the leg labels, by rtp.Role.
var legNames = [...]string{rtp.TrunkLeg: "trunk", rtp.AgentLeg: "agent"}

func partyLeg(p acd.Party) string {
	if p == acd.Agent {
		return "agent"
	}
	return "trunk"
}

func (m *metrics) legClosed(p acd.Party, r rtp.Report) {
	if r.MOS > 0 {
		m.mos.WithLabelValues(partyLeg(p)).Observe(r.MOS)
	}
	if r.OneWay {
		m.oneWay.WithLabelValues(partyLeg(p)).Inc()
	}
}

func (m *metrics) registered(e sip.RegEvent) {
	m.registrations.WithLabelValues(e.Kind.String()).Inc()
}

// acted counts what the floor decided. It belongs to the board's goroutine.
func (m *metrics) acted(a acd.Action) {
	switch a := a.(type) {
	case acd.Moved:
		m.agentMoves.WithLabelValues(a.To.String(), a.Reason).Inc()
	case acd.Comfort:
		m.lost[a.Call] = true
	case acd.Rejoin:
		m.found(a.Call, "back")
	case acd.Offer:
		if a.Rejoin {
			m.found(a.Call, "rung_back")
		}
	case acd.Queued:
		m.found(a.Call, "gone")
	case acd.Settled:
		m.found(a.Call, "left")
	}
}

// found says what became of a line that was lost, unless none was.
func (m *metrics) found(c acd.CallID, result string) {
	if m.lost[c] {
		delete(m.lost, c)
		m.linkLost.WithLabelValues(result).Inc()
	}
}

// callbackResult is what became of a promise to call back.
func callbackResult(c *ledger.CDR) string {
	switch {
	case c.Outcome == ledger.Answered:
		return "made"
	case c.Cause == acd.CauseAdmin.String():
		return "cancelled"
	case c.Cause == acd.CauseElsewhere.String():
		return "needless" // the customer rang in before
	case c.Cause == acd.CauseAbandoned.String(), c.Cause == acd.CauseHangup.String():
		return "abandoned" // reached, and gone before an agent was there
	case c.Outcome == ledger.Broken:
		return "failed"
	}
	return "not_reached"
}

// counted reads the CDR of a call that is over.
func (m *metrics) counted(c *ledger.CDR) {
	outcome := string(c.Outcome)
	m.calls.WithLabelValues(c.Client, c.Direction, outcome).Inc()
	if c.Direction == "outbound" { // a callback; the trunk is empty when its customer was never called
		m.trunkCalls.WithLabelValues(c.Trunk, "out", outcome).Inc()
		m.callbacks.WithLabelValues(c.Queue, callbackResult(c)).Inc()
	} else {
		m.trunkCalls.WithLabelValues(c.Trunk, "in", outcome).Inc()
	}
	m.callSeconds.WithLabelValues(c.Client).Observe(c.Duration.Length().Seconds())
	if c.Queue != "" {
		m.queueWait.WithLabelValues(c.Queue, c.Client, outcome).Observe(c.QueuedFor.Length().Seconds())
	}
	for _, s := range c.Segments {
		if s.Kind == ledger.Offering {
			m.offers.WithLabelValues(s.Result).Inc()
		}
	}
}

// gauges reads the live figures when a scrape comes.
type gauges struct {
	ex   *exchange
	desc map[string]*prometheus.Desc
}

func newGauges(ex *exchange) *gauges {
	g := &gauges{ex: ex, desc: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		g.desc[name] = prometheus.NewDesc("foyer_"+name, help, labels, nil)
	}
	add("draining", "1 while the switch takes no new calls.")
	add("keeper_up", "1 while somebody, `foyer serve` or systemd, keeps what must outlive the switch.")
	add("sip_legs", "SIP legs not yet ended.")
	add("sip_connections", "Connections that phones and carriers have opened.", "transport")
	add("tls_certificate_left_seconds", "Time until the certificate in use expires; below 0 it has.", "listen")
	add("calls_active", "Customer calls up.", "state")
	add("sip_poison_dropped_total", "Messages dropped because their call has killed the switch again and again.")
	add("sip_banned_addresses", "Source addresses ignored for failed authentications.")
	add("sip_bans_total", "Bans begun.")
	add("sip_guessing_alarms_total", "Hours with more failed passwords than registrar.slowdown.alarm.")
	add("registrations", "Phones registered.", "transport", "reachable")
	add("trunk_calls", "Calls up on a trunk.", "trunk", "direction")
	add("trunk_up", "1 while a trunk is registered, if it should be, and answers OPTIONS, if it is asked; absent for one that is neither.", "trunk")
	add("trunk_options_rtt_seconds", "Time the trunk's carrier took to answer OPTIONS last.", "trunk")
	add("trunk_calls_limit", "Most calls a trunk may have; 0 no limit.", "trunk")
	add("queue_waiting", "Callers waiting.", "queue", "client")
	add("queue_oldest_wait_seconds", "Longest present wait.", "queue", "client")
	add("queue_offered_total", "Calls that entered.", "queue", "client")
	add("queue_answered_total", "Calls an agent answered.", "queue", "client")
	add("queue_abandoned_total", "Calls whose caller left first.", "queue", "client", "short")
	add("queue_overflowed_total", "Calls that went on to another queue or were refused for their wait.", "queue", "client")
	add("queue_answered_within_target_total", "Calls answered within the service-level time.", "queue", "client")
	add("queue_refused_total", "Calls ended by the switch or an operator before an answer.", "queue", "client")
	add("queue_promised_total", "Calls that became a promise to call back.", "queue", "client")
	add("queue_service_level_ratio", "Share of calls answered in time since the start, by the queue's formula.", "queue", "client", "formula")
	add("queue_open", "1 while a queue takes calls.", "queue")
	add("queue_handle_seconds", "Time of agents for contacts they are done with, wrap-up included.", "queue", "client")
	add("queue_wait_estimate_seconds", "What a caller who comes now must expect to wait; absent where nobody serves the queue.", "queue", "client", "quantile")
	add("queue_wait_calibration_error_ratio", "How far the share of callers served inside the band they were told strays from what it should be.", "queue")
	add("queue_wait_calibration_callers", "Callers that error is of.", "queue")
	add("queue_callbacks", "Promises to call back that are not kept yet.", "queue", "state")
	add("agents", "Agents by state.", "state")
	add("agents_alg_suspected", "Agents whose home router rewrites SIP, as it seems: see `foyer agent doctor`.")
	add("agents_overdue", "Agents paused or wrapping up for longer than is allowed.")
	add("agent_state_seconds_total", "Time of all agents in each state since the start.", "state", "reason")
	add("rtp_packets_total", "RTP packets.", "leg", "direction")
	add("rtp_bytes_total", "RTP bytes, without IP and UDP.", "leg", "direction")
	add("rtp_packets_lost_total", "Packets the sender sent and we never got.", "leg")
	add("rtp_packets_late_total", "Packets too late to be heard.", "leg")
	add("srtp_errors_total", "Packets to protected legs that were not made with the peer's key, and handshakes that failed.", "kind")
	add("ice_failures_total", "ICE checks that were refused, and legs that ended before a way was found.", "reason")
	add("rtp_ports_used", "Media ports in use.")
	add("rtp_ports_limit", "Media ports in the pool.")
	add("recordings_active", "Recordings being written.")
	add("recording_bytes_total", "Bytes written to recordings.")
	add("recording_write_errors_total", "Failed writes of recordings.")
	add("recording_packets_dropped_total", "Packets a full tap or a stalled disk cost recordings.")
	add("recording_backlog_seconds", "Age of the oldest audio not yet written.")
	add("recording_disk_trouble", "1 while something is wrong with the disk of the recordings: full, readonly, failing, stalled, unsynced, scarce (nothing new is recorded), low.", "kind")
	add("recording_disk_free_bytes", "Room on the disk of the recordings.")
	add("recording_disk_full_seconds", "When that disk will be full at the rate of the last hour; absent while nothing can be foretold.")
	add("disk_reserve_held", "1 while room is kept for the journal and the call records; 0 once the disk was full and it had to be let go; absent where none is configured.")
	add("floor_events_total", "Events the floor has taken.")
	add("floor_ring_full_total", "Times somebody had to wait to post an event.")
	add("floor_violations_total", "Broken invariants of the floor, found and repaired: faults of ours.")
	add("floor_stalls_total", "Times the floor stood still for more than five seconds: faults of ours.")
	add("panics_total", "Faults of ours, each confined to the call, leg, connection, recording, row or round it happened in.", "part")
	add("journal_errors_total", "Events that could not be journalled.")
	add("checkpoints_total", "Checkpoints of the floor written to the journal.")
	add("checkpoint_errors_total", "Checkpoints that could not be written, and are tried again later.")
	return g
}

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.desc {
		ch <- d
	}
}

// Collect is called on a goroutine of the library's, where nobody else would confine
// what breaks.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.ex.confined(aScrape, g.ex.log, func() { g.collect(ch) })
}

func (g *gauges) collect(ch chan<- prometheus.Metric) {
	send := func(name string, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if len(name) > 6 && name[len(name)-6:] == "_total" {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(g.desc[name], kind, v, labels...)
	}
	ex := g.ex
	send("draining", truth(ex.draining.Load()))
	send("keeper_up", truth(ex.keeper.Kept()))
	send("sip_legs", float64(ex.edge.Legs()))
	for transport, n := range ex.edge.Connections() {
		send("sip_connections", float64(n), transport)
	}
	for listen, cert := range map[string]*sip.Certificate{"sip_tls": ex.sockets.sipCert, "https": ex.sockets.secureCert} {
		if cert != nil {
			send("tls_certificate_left_seconds", time.Until(cert.Expires()).Seconds(), listen)
		}
	}
	g.floor(ch, send)
	g.phones(send)
	send("sip_poison_dropped_total", float64(ex.poison.drops.Load()))
	send("sip_banned_addresses", float64(ex.registrar.BannedNow()))
	send("sip_bans_total", float64(ex.registrar.BansBegun()))
	send("sip_guessing_alarms_total", float64(ex.registrar.Alarms()))
	totals := ex.media.Totals()
	var srtp rtp.SRTPErrors
	var ice rtp.ICEFailures
	for _, t := range totals {
		srtp.Add(t.SRTP)
		ice.Add(t.ICE)
	}
	for kind, n := range srtp {
		send("srtp_errors_total", float64(n), rtp.SRTPError(kind).String())
	}
	for reason, n := range ice {
		send("ice_failures_total", float64(n), rtp.ICEFailure(reason).String())
	}
	for role, leg := range legNames {
		t := totals[role]
		send("rtp_packets_total", float64(t.PacketsIn), leg, "in")
		send("rtp_packets_total", float64(t.PacketsOut), leg, "out")
		send("rtp_bytes_total", float64(t.BytesIn), leg, "in")
		send("rtp_bytes_total", float64(t.BytesOut), leg, "out")
		send("rtp_packets_lost_total", float64(t.Lost), leg)
		send("rtp_packets_late_total", float64(t.Late), leg)
	}
	used, limit := ex.media.Ports()
	send("rtp_ports_used", float64(used))
	send("rtp_ports_limit", float64(limit))
	st := ex.recordings.Stats()
	send("recordings_active", float64(st.Active))
	send("recording_bytes_total", float64(st.Bytes))
	send("recording_write_errors_total", float64(st.WriteErrors))
	send("recording_packets_dropped_total", float64(st.Dropped))
	send("recording_backlog_seconds", st.Backlog.Seconds())
	g.disk(send)
	send("floor_events_total", float64(ex.board.events.Load()))
	send("floor_ring_full_total", float64(ex.board.ring.Full()))
	send("floor_violations_total", float64(ex.board.violations.Load()))
	send("floor_stalls_total", float64(ex.board.stalls.Load()))
	send("journal_errors_total", float64(ex.board.failures.Load()))
	send("checkpoints_total", float64(ex.board.checkpoints.written.Load()))
	send("checkpoint_errors_total", float64(ex.board.checkpoints.failures.Load()))
	for part := range ex.faults {
		send("panics_total", float64(ex.faults[part].Load()), confinedPart(part).String())
	}
	send("panics_total", float64(ex.edge.Faults()), "sip")
	send("panics_total", float64(ex.media.Faults()), "rtp")
	send("panics_total", float64(st.Faults), "recorder")
	send("panics_total", float64(ex.cdrs.Status().Faults), "ledger")
	send("panics_total", float64(ex.journal.diary.faults.Load()), "diary")
}

func (g *gauges) disk(send func(string, float64, ...string)) {
	kinds := map[string]bool{}
	for _, t := range g.ex.recordings.Trouble(time.Now()) {
		kinds[t.Kind] = true
	}
	for _, kind := range recorder.Troubles() {
		send("recording_disk_trouble", truth(kinds[kind]), kind)
	}
	if r := g.ex.recordings.Room(); r.Total > 0 {
		send("recording_disk_free_bytes", float64(r.Free))
		if r.FullIn > 0 {
			send("recording_disk_full_seconds", r.FullIn.Seconds())
		}
	}
	if g.ex.reserve.size > 0 {
		send("disk_reserve_held", truth(!g.ex.reserve.gone.Load()))
	}
}

func (g *gauges) phones(send func(string, float64, ...string)) {
	type kind struct {
		transport string
		reachable bool
	}
	count := map[kind]int{}
	for _, b := range g.ex.registrar.All() {
		count[kind{b.Transport, b.Reachable}]++
	}
	for k, n := range count {
		send("registrations", float64(n), k.transport, strconv.FormatBool(k.reachable))
	}
	for id, n := range g.ex.calls.byTrunk() {
		send("trunk_calls", float64(n), id, "in")
	}
	for id, t := range g.ex.plan.Load().trunks {
		send("trunk_calls_limit", float64(t.maxCalls), id)
	}
	for _, t := range g.ex.edge.TrunkStates() {
		if t.Watched {
			send("trunk_up", truth(t.Up), t.ID)
		}
		if t.RTT > 0 {
			send("trunk_options_rtt_seconds", t.RTT.Seconds(), t.ID)
		}
	}
}

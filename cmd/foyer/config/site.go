package config

import "time"

// Config is a whole configuration, merged from its files, checked, and with
// every default filled in. It is not changed after Load and may be read from
// any goroutine.
type Config struct {
	// Version of the format.
	Version int `yaml:"version" need:"yes" enum:"1"`
	// Include names further files to merge, as glob patterns relative to this
	// file. A fragment adds to the lists below; a section that is not a list
	// stands in one file only.
	Include []string `yaml:"include"`
	// Demo allows literal passwords, and an HTTP API without tokens on loopback.
	// True also when site.mode is demo.
	Demo bool `yaml:"demo" default:"false" reload:"never"`

	Site              Site              `yaml:"site" need:"yes" reload:"never"`
	Database          Database          `yaml:"database" reload:"never"`
	Listen            Listen            `yaml:"listen" need:"yes" reload:"never"`
	Registrar         Registrar         `yaml:"registrar" reload:"never"`
	Flood             Flood             `yaml:"flood" reload:"never"`
	Media             Media             `yaml:"media"`
	Trunks            []Trunk           `yaml:"trunks"`
	OutboundRoutes    []OutboundRoute   `yaml:"outbound_routes"`
	Outbound          Outbound          `yaml:"outbound"`
	Floor             Floor             `yaml:"floor"`
	FeatureCodes      FeatureCodes      `yaml:"feature_codes"`
	Reasons           Reasons           `yaml:"reasons"`
	Skills            []string          `yaml:"skills"` // when given, the only skills that may be named
	Calendars         []Calendar        `yaml:"calendars"`
	Prompts           Prompts           `yaml:"prompts"`
	Clients           []Client          `yaml:"clients"`
	Queues            []Queue           `yaml:"queues"`
	DIDs              []DID             `yaml:"dids"`
	RecordingPolicies []RecordingPolicy `yaml:"recording_policies"`
	Recording         Recording         `yaml:"recording" reload:"never"`
	Agents            []Agent           `yaml:"agents"`
	Observability     Observability     `yaml:"observability" reload:"never"`

	_ struct{} `later:"surge users monitoring_rights events"`

	// Files are the paths read, the main one first.
	Files []string `yaml:"-"`
	// Sum tells one text of the files from another: the first digits of their hash.
	Sum string `yaml:"-"`
	// Warnings are what Load found odd but usable. Never nil.
	Warnings *Problems `yaml:"-"`
}

// Site is what is true of the whole installation.
type Site struct {
	Name string `yaml:"name" default:"Foyer"`
	// PublicHost is the host name or address phones and carriers reach the
	// switch by; it is written into Contact.
	PublicHost string `yaml:"public_host" need:"yes"`
	// PublicURL is where people reach the console, for links that are given out;
	// https:// and PublicHost when not given.
	PublicURL string `yaml:"public_url"`
	// Timezone is the zone of the calendars and of times shown to people.
	Timezone *time.Location `yaml:"timezone" default:"UTC"`
	// Locale is the language of prompts where neither client nor number says another.
	Locale string `yaml:"locale" default:"en" enum:"fr en"`
	// DataDir holds the journal, the database and, by default, the recordings.
	DataDir string `yaml:"data_dir" default:"/var/lib/foyer"`
	// DiskReserve is how much room in DataDir is kept for the journal and the call
	// records when the disk is full; 2 % of the disk at most.
	DiskReserve Size   `yaml:"disk_reserve" default:"256MiB" max:"64GiB"`
	Mode        string `yaml:"mode" default:"production" enum:"production demo"`
}

// Database is where call records, counts, tokens and the audit trail are kept. The
// journal is in site.data_dir in any case.
type Database struct {
	// Postgres is a connection string; when not given, they are in foyer.db in site.data_dir.
	Postgres Secret `yaml:"postgres"`
}

// Observability is what the switch says of itself.
type Observability struct {
	Log      Log      `yaml:"log"`
	SIPTrace SIPTrace `yaml:"sip_trace"`

	_ struct{} `later:"hep otlp"`
}

// Log is the log on standard error.
type Log struct {
	Format string `yaml:"format" default:"json" enum:"json console"`
	Level  string `yaml:"level" default:"info" enum:"debug info warn error"`
}

// SIPTrace keeps the SIP messages of every call for `foyer trace`.
type SIPTrace struct {
	// RingBuffer is how long they are kept.
	RingBuffer time.Duration `yaml:"ring_buffer" default:"24h" min:"1m" max:"31d"`
	// Redact names header fields whose value is replaced before it is kept.
	Redact []string `yaml:"redact" default:"Authorization Proxy-Authorization"`
}

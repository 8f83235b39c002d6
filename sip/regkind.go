package sip

// String is the word metrics and logs use.
func (k RegKind) String() string {
	switch k {
	case RegAdded:
		return "added"
	case RegRefreshed:
		return "refreshed"
	case RegRemoved:
		return "removed"
	case RegExpired:
		return "expired"
	case RegLost:
		return "lost"
	case RegRegained:
		return "regained"
	case RegRejected:
		return "rejected"
	}
	return "unknown"
}

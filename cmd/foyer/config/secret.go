package config
// Secret is a value that must not be seen: it prints as asterisks.
type Secret struct{ value string }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.value }

// String hides it.
func (Secret) String() string { return "***" }

package config

// Load reads the configuration at path and the fragments it includes. The error,
// when there is one, is a *Problems with everything that was found wrong.
func Load(path string) (*Config, error) { return nil, &Problems{Files: 1} }

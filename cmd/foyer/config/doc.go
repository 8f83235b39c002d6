// Package config reads what an operator wrote and either hands back a
// configuration that can be served, every default filled in, or the list of all
// that is wrong with it, each problem with the file, line and column where it
// stands.
//
// A file is read strictly: a key that is not known, a reference to something
// that is not defined, a number out of range is an error and never a guess.
// Loading reads files only (the configuration, its fragments, the secrets it
// names); it opens no socket and creates nothing.
//
// The struct fields are the reference of the format: the yaml tag is the key,
// the default tag what an absent key means, need marks keys that must be there,
// enum lists the values a key may take, min and max its range, and later the
// keys and values that Foyer will know but this release does not. The tag elsewhere
// names keys that belong in another list. A section that is switched on by being
// there is a pointer, nil when it is absent.
//
// Paths in a configuration are relative to the working directory of the
// process; those under include alone are relative to the including file.
package config

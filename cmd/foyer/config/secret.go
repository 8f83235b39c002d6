package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Secret is a value that must not be seen: it prints, and is written in JSON
// and logs, as asterisks.
type Secret struct{ value string }

// Given says whether there is one.
func (s Secret) Given() bool { return s.value != "" }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.value }

// String hides it.
func (Secret) String() string { return "***" }

// GoString hides it from %#v too.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// resolve replaces a value written as ${env:NAME}, ${file:/path} or ${cred:NAME}
// by what it names. Whatever is wrong is said here, without the value.
func (r *reader) resolve(target reflect.Value, v value, text string) (string, bool) {
	body, isReference := strings.CutPrefix(text, "${")
	body, closed := strings.CutSuffix(body, "}")
	if !isReference || !closed || strings.Contains(body, "${") {
		if secret, is := target.Addr().Interface().(*Secret); is {
			r.literal[secret] = true
		}
		return text, true
	}
	kind, name, _ := strings.Cut(body, ":")
	got, err := lookUp(kind, name)
	if err == nil && got == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		r.errorf(r.place(v), "%s: %s cannot be resolved: %s", v.path, text, err)
		return "", false
	}
	return got, true
}

func lookUp(kind, name string) (string, error) {
	if name == "" {
		return "", errors.New("it names nothing")
	}
	switch kind {
	case "env":
		got, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return got, nil
	case "file":
		return readSecret(name)
	case "cred":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", errors.New("$CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=)")
		}
		if name != filepath.Base(name) || name == ".." || name == "." {
			return "", errors.New("a credential has a plain name, without directories")
		}
		return readSecret(filepath.Join(dir, name))
	}
	return "", errors.New("it must be ${env:NAME}, ${file:/path} or ${cred:NAME}")
}

// readSecret is the file's text without the newline editors end it with.
func readSecret(path string) (string, error) {
	text, err := readLimited(path)
	if err != nil {
		return "", fmt.Errorf("%s: %s", path, plain(err))
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

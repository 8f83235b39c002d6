package config

import (
	"regexp"
	"strings"
)

// codeForm is a star or hash and digits: what no agent, queue or number is called.
var codeForm = regexp.MustCompile(`^[*#][0-9*#]{1,7}$`)

func (k *checker) checkFeatures() {
	f := &k.c.FeatureCodes
	// A digit may follow the first two.
	type act struct {
		name string
		code *string
	}
	acts := [...]act{
		{"pause", &f.Pause}, {"wrapup", &f.WrapUp},
		{"login", &f.Login}, {"logout", &f.Logout}, {"ready", &f.Ready}, {"extend", &f.Extend}, {"echo", &f.Echo},
	}
	for i, a := range acts {
		if *a.code == CodeOff || *a.code == "" {
			continue
		}
		if !codeForm.MatchString(*a.code) {
			k.errorf(k.at[a.code], "feature_codes.%s is %q: a code is a star or a hash and up to seven digits, such as *45, or off", a.name, *a.code)
			continue
		}
		for j, b := range acts {
			switch {
			case i == j:
			case *a.code == *b.code && i < j:
				k.errorf(k.either(a.code, b.code), "feature_codes: %s is the code of both %s and %s", *a.code, a.name, b.name)
			case *a.code != *b.code && i < 2 && strings.HasPrefix(*b.code, *a.code):
				k.errorf(k.either(b.code, a.code), "feature_codes.%s is %s: it begins with %s, the code of %s, which a number may follow", b.name, *b.code, *a.code, a.name)
			}
		}
	}
}

// either is where one of two values stands; that of the other may be a default.
func (k *checker) either(one, other *string) place {
	if at, given := k.at[one]; given {
		return at
	}
	return k.at[other]
}

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes Size
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// String writes it in the largest unit that it is a multiple of.
func (s Size) String() string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		if u := sizeUnits[i]; s != 0 && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func setSize(into *Size, f field, text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	*into = n
	low, errLow := parseSize(f.Tag.Get("min"))
	high, errHigh := parseSize(f.Tag.Get("max"))
	if errLow == nil && n < low || errHigh == nil && n > high {
		return fmt.Errorf("must be between %s and %s, not %s", f.Tag.Get("min"), f.Tag.Get("max"), text)
	}
	return nil
}

// parseSize reads 256MiB, 2GiB and 0.
func parseSize(text string) (Size, error) {
	if text == "0" {
		return 0, nil
	}
	for _, u := range sizeUnits {
		if digits, ok := strings.CutSuffix(text, u.name); ok {
			if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
				return Size(n) * u.bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("must be a size such as 256MiB, 2GiB or 0, not %q", text)
}

package config

import "testing"

func TestSmallest(t *testing.T) {
	c, err := Load("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", c)
	t.Log(c.Warnings.List)
}

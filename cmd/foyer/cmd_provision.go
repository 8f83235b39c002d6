package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	go_qr "github.com/piglig/go-qr"

	"foyer/console"
)

type agentProvision struct {
	outputFlag
	Agent string `arg:"" help:"The agent's id."`
	QR    bool   `name:"qr" help:"Show the link as a QR code too, for the phone's camera."`
	Days  int    `help:"How many days the link is good for, 1 to 30." default:"1"`
}

func (a *agentProvision) Run(c *cli) error {
	if a.Days < 1 || a.Days > 30 {
		return fmt.Errorf("--days %d: a link is good for 1 to 30 days", a.Days)
	}
	op, err := c.operator()
	if err != nil {
		return err
	}
	var link console.PhoneLink
	if err := op.do("POST", "/agents/"+url.PathEscape(a.Agent)+"/provisioning", map[string]int{"days": a.Days}, &link); err != nil {
		return err
	}
	if a.Output != "table" {
		return a.write(link, func(*tabwriter.Writer) {})
	}
	fmt.Println(link.URL)
	if a.QR {
		if err := printQR(os.Stdout, link.URL); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "It works once, until %s, and gives the phone a new password: the one %s uses now stops working then.\n",
		link.Expires.Local().Format("2006-01-02 15:04"), a.Agent)
	return nil
}

// printQR draws a text for a camera, two modules in a character, dark on light
// whatever the colours of the terminal.
func printQR(out io.Writer, text string) error {
	code, err := go_qr.EncodeText(text, go_qr.Low)
	if err != nil {
		return fmt.Errorf("QR code: %w", err)
	}
	const border = 2 // cameras do with less than the 4 of the standard
	light := func(x, y int) bool {
		inside := x >= 0 && y >= 0 && x < code.Size() && y < code.Size()
		return !inside || !code.Module(x, y)
	}
	var b strings.Builder
	for y := -border; y < code.Size()+border; y += 2 {
		b.WriteString("\x1b[97;40m")
		for x := -border; x < code.Size()+border; x++ {
			switch upper, lower := light(x, y), light(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err = io.WriteString(out, b.String())
	return err
}

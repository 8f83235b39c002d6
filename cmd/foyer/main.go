// Command foyer is a contact-centre switch: carriers' calls come in over SIP,
// wait in queues, and ring agents who work from home.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
)

// version is set when a release is built (-ldflags "-X main.version=…").
var version = "0.1.0-dev"

// cli is the command line. Every command that needs the configuration takes -c.
type cli struct {
	Config string `short:"c" help:"Configuration file." default:"/etc/foyer/foyer.yaml" env:"FOYER_CONFIG" type:"path"`

	Serve     serveCmd     `cmd:"" help:"Run the switch until SIGTERM, which drains, and start it again if it dies."`
	Demo      demoCmd      `cmd:"" help:"Run the switch with simulated carriers and agents, and watch."`
	Check     checkCmd     `cmd:"" help:"Read the configuration and say what is wrong with it. Exit 0 or 3."`
	Reload    reloadCmd    `cmd:"" help:"Let the running switch serve by the configuration as it is now; no call notices."`
	Upgrade   upgradeCmd   `cmd:"" help:"Put this release in the place of the running one; calls go on."`
	Status    statusCmd    `cmd:"" help:"One screen: calls, queues and agents of the running switch."`
	Recording recordingCmd `cmd:"" help:"List, fetch and verify recordings."`
	Cdr       cdrCmd       `cmd:"" help:"Call detail records."`
	Report    reportCmd    `cmd:"" help:"Service levels, queues, agents and intervals, added up."`
	Call      callCmd      `cmd:"" help:"Live calls of the running switch."`
	Agent     agentCmd     `cmd:"" help:"Agents of the running switch."`
	Queue     queueCmd     `cmd:"" help:"Queues of the running switch, and who waits in them."`
	Trunk     trunkCmd     `cmd:"" help:"Carriers' lines: whether they are up, and why not."`
	Callback  callbackCmd  `cmd:"" help:"Customers who will be called back."`
	Explain   explainCmd   `cmd:"" help:"Say why a call went to the agents it went to, or why an agent got none."`
	Trace     traceCmd     `cmd:"" help:"Draw the SIP messages of a call as a ladder."`
	Token     tokenCmd     `cmd:"" help:"Access tokens for the API."`
	Staff     staffCmd     `cmd:"" help:"How many agents some calls need: Erlang C and Erlang A."`
	Journal   journalCmd   `cmd:"" help:"The record of everything that happened."`
	Replay    replayCmd    `cmd:"" help:"Run recorded events through the floor again, as they were or with something changed."`
	Backup    backupCmd    `cmd:"" help:"Copy configuration, database, journal and recordings, while the switch serves."`
	Restore   restoreCmd   `cmd:"" help:"Check a backup, and put what is in it where the configuration says."`
	Read      readCmd      `cmd:"" hidden:""`
	Schema    schemaCmd    `cmd:"" help:"Print the JSON schema of the configuration, for editors."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// exitCode is an error that has been told already and only sets the exit status.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Exit statuses beside 0 and 1.
const (
	exitConfig exitCode = 3 // the configuration is not usable
	exitBackup exitCode = 4 // a backup is damaged or not whole

	// exitRestart is that of a switch which systemd starts again, by what is installed now.
	exitRestart exitCode = 76
)

func main() {
	err := run(os.Args[1:])
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "foyer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == switchCommand {
		return serveKept(args[1:])
	}
	var c cli
	parser := kong.Must(&c, kong.Name("foyer"),
		kong.Description("A contact-centre switch for agents who work from home."),
		kong.Vars{"scopes": strings.Join(console.Scopes(), ", "), "formulas": strings.Join(ledger.Formulas(), ", ")},
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}))
	ctx, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	return ctx.Run(&c)
}

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("foyer", version)
	return nil
}

type schemaCmd struct{}

func (schemaCmd) Run() error {
	b, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(b, '\n'))
	return err
}

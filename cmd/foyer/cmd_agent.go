package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"foyer/console"
)

type agentCmd struct {
	List      agentList      `cmd:"" help:"Agents, their state and phones."`
	Show      agentShow      `cmd:"" help:"One agent: what they are doing, what comes next, phones, skills."`
	Doctor    agentDoctor    `cmd:"" help:"What is wrong with an agent's line at home, and what to do."`
	Provision agentProvision `cmd:"" help:"Make a link that gives an agent's phone its account."`
	Ready     agentReady     `cmd:"" help:"Make an agent ready; also undoes the pause after missed calls, and ends a wrap-up that needs no code."`
	Pause     agentPause     `cmd:"" help:"Take an agent off the queues for a while; what they are in is finished first."`
	Login     agentLogin     `cmd:"" help:"Log an agent in."`
	Logout    agentLogout    `cmd:"" help:"Log an agent out; what they are in is finished first."`
	Wrapup    agentWrapup    `cmd:"" help:"Finish an agent's work after a call."`
	Extend    agentExtend    `cmd:"" help:"Give an agent more time for the work after a call."`
	Release   agentRelease   `cmd:"" help:"Free an agent from whatever they are in: their call ends, callers they were rung for wait on."`
}

type agentList struct{ outputFlag }

func (l *agentList) Run(c *cli) error { return showList(c, l.outputFlag, "/agents", printAgents) }

func printAgents(w *tabwriter.Writer, agents []console.AgentView) {
	fmt.Fprintln(w, "AGENT\tSTATE\tREASON\tSINCE\tNEXT\tPHONES\tCALL\tNOTE")
	for _, a := range agents {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			a.ID, a.State, printable(a.Reason), ago(a.Since), nextOf(a.State, a.Next, a.NextReason), len(a.Phones), a.Call, noteOf(a))
	}
}

// nextOf is what comes after an agent's state; "" when it goes on.
func nextOf(state, next, reason string) string {
	if next == state {
		return ""
	}
	return worded(next, reason)
}

// worded is a state with its reason.
func worded(state, reason string) string {
	if reason == "" {
		return state
	}
	return state + " (" + printable(reason) + ")"
}

// noteOf is what a supervisor should look at.
func noteOf(a console.AgentView) string {
	var notes []string
	if a.LinkLost != nil {
		notes = append(notes, "line lost for "+ago(*a.LinkLost))
	}
	if a.Overdue {
		notes = append(notes, "overdue")
	}
	if a.Missed > 0 {
		notes = append(notes, fmt.Sprintf("missed %d", a.Missed))
	}
	return strings.Join(notes, ", ")
}

type agentShow struct {
	outputFlag
	Agent string `arg:"" help:"The agent's id."`
}

func (s *agentShow) Run(c *cli) error {
	return show(c, s.outputFlag, "/agents/"+url.PathEscape(s.Agent), printAgent)
}

func printAgent(w *tabwriter.Writer, a console.AgentView) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("agent", a.ID)
	line("name", a.Name)
	line("state", worded(a.State, a.Reason)+" for "+ago(a.Since))
	line("next", nextOf(a.State, a.Next, a.NextReason))
	line("note", noteOf(a))
	line("in hand", strings.Join(a.InHand, " "))
	if a.Until != nil {
		line("until", a.Until.Local().Format(time.TimeOnly))
	}
	line("wrap-up", a.Wrap)
	if a.Wrap == "extendable" {
		line("extensions", fmt.Sprintf("%d left", a.Extensions))
	}
	line("handled", fmt.Sprintf("%d since login, %d dropped before both talked", a.Handled, a.Dumped))
	line("queues", strings.Join(a.Queues, " "))
	var skills []string
	for _, s := range slices.Sorted(maps.Keys(a.Skills)) {
		skills = append(skills, fmt.Sprintf("%s:%d", s, a.Skills[s]))
	}
	line("skills", strings.Join(skills, " "))
	for _, p := range a.Phones {
		line("phone", strings.TrimSpace(p.Address+" "+p.Transport+" "+printable(p.UserAgent)))
	}
	if !a.Reachable {
		line("phone", "none is reachable")
	}
}

type (
	agentReady struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentPause struct {
		Agent  string `arg:"" help:"The agent's id."`
		Reason string `help:"Why: a reason of reasons.pause, if the configuration has any." default:"supervisor"`
	}
	agentLogin struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentLogout struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentWrapup struct {
		Agent      string `arg:"" help:"The agent's id."`
		Code       string `help:"What came of the call: a wrap-up code of its queue."`
		Call       string `help:"Which call, for an agent with several."`
		Note       string `help:"What is to be remembered of the call."`
		CallbackAt string `help:"When the caller is to be called back: 15:30, or a moment such as 2026-11-23T09:30:00+01:00."`
	}
	agentExtend struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentRelease struct {
		Agent string `arg:"" help:"The agent's id."`
	}
)

func (a agentReady) Run(c *cli) error   { return c.setAgent(a.Agent, "ready", nil) }
func (a agentLogin) Run(c *cli) error   { return c.setAgent(a.Agent, "login", nil) }
func (a agentLogout) Run(c *cli) error  { return c.setAgent(a.Agent, "logout", nil) }
func (a agentExtend) Run(c *cli) error  { return c.setAgent(a.Agent, "extend", nil) }
func (a agentRelease) Run(c *cli) error { return c.setAgent(a.Agent, "release", nil) }
func (a agentPause) Run(c *cli) error {
	return c.setAgent(a.Agent, "pause", map[string]string{"reason": a.Reason})
}

func (a agentWrapup) Run(c *cli) error {
	body := map[string]string{}
	if a.Code != "" {
		body["code"] = a.Code
	}
	if a.Call != "" {
		body["call"] = a.Call
	}
	if a.Note != "" {
		body["note"] = a.Note
	}
	if a.CallbackAt != "" {
		at, err := timeOfDay(a.CallbackAt, time.Now())
		if err != nil {
			return fmt.Errorf("--callback-at: %w", err)
		}
		body["callback_at"] = at.Format(time.RFC3339)
	}
	return c.setAgent(a.Agent, "wrapup", body)
}

// setAgent gives an order about an agent, and says what came of it.
func (c *cli) setAgent(agent, order string, body any) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var s console.AgentState
	if err := op.do("POST", "/agents/"+url.PathEscape(agent)+"/"+order, body, &s); err != nil {
		return err
	}
	text := agent + " is " + worded(s.State, s.Reason)
	if s.Until != nil {
		text += " until " + s.Until.Local().Format(time.TimeOnly)
	}
	if next := nextOf(s.State, s.Next, s.NextReason); next != "" {
		text += ", then " + next
	}
	fmt.Println(text)
	return nil
}

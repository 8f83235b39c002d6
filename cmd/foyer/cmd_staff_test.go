package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// staff runs `foyer staff` with the words of a line.
func staff(t *testing.T, line string) (stdout, stderr string, code int) {
	t.Helper()
	return foyer(t, append([]string{"staff"}, strings.Fields(line)...)...)
}

// The answers an operator reads, whole.
func TestStaffAnswersInASentence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		say  []string
	}{
		{"--calls 360/30m --aht 240s --target 80/15", []string{
			"55 agents at work answer 84.6% of the calls within 15s, and no fewer reach the goal of 80% within 15s.",
			"Erlang C decides: without --patience nobody is expected to leave the queue.",
			"55 *    84.6%  8.2s   87.3%      23.9%",
			"54      79.3%  12.1s  88.9%      30.1%",
		}},
		{"--calls 250/1h --aht 330s --target 80/30", []string{"28 agents at work answer 85.7%"}},
		{"--calls 360/30m --aht 4m --patience 2m", []string{
			"49 agents at work answer 82.1% of the calls within 20s, and no fewer reach the goal of 80% within 20s.",
			"Erlang A decides: callers leave after 2m on average, which makes room for the others. Erlang C, where nobody leaves, asks for 54.",
			"48      78.8%     7.6s   6.7%     93.3%      43.7%  -      endless  -          -",
		}},
		{"--calls 360/30m --aht 4m --patience 2m --agents 48", []string{
			"48 agents at work answer 78.8% of the calls within 20s: too few, the goal of 80% within 20s takes 49.",
		}},
		{"--calls 360/30m --aht 4m --patience 2m --agents 55 --target 80/15", []string{
			"55 agents at work answer 93.5% of the calls within 15s: more than needed, the goal of 80% within 15s takes 50.",
			"55      93.5%     1.9s",
		}},
		{"--calls 360/30m --aht 4m --agents 54", []string{"54 agents at work answer 81.7% of the calls within 20s: just enough for the goal of 80% within 20s."}},
		{"--calls 360/30m --aht 4m --agents 48", []string{
			"48 agents are too few for 48.0 erlangs: the queue grows for ever; the goal of 80% within 20s takes 54.",
		}},
		{"--calls 360/30m --aht 4m --patience 2m --target 80/15 --shrinkage 30% --max-occupancy 85%", []string{
			"56 agents at work answer 94.9%",
			"The service level alone takes 50; more are needed to keep agents below 85% busy.",
			"To have 56 at work with 30% shrinkage, put 80 on the roster.",
			"AGENTS  ROSTER  SL",
			"56 *    80      94.9%",
		}},
		{"--calls 60/1h --aht 60s --agents 1", []string{"1 agent is too few for 1.0 erlangs: the queue grows for ever; the goal of 80% within 20s takes 3."}},
		{"--calls 12/1h --aht 60s --patience 1h --target 80/20", []string{"1 agent at work answers 84.8%", "Erlang C, where nobody leaves, asks for as many."}},
	} {
		out, errs, code := staff(t, c.line)
		if code != 0 || errs != "" {
			t.Errorf("%s: exit %d, %s", c.line, code, errs)
		}
		for _, say := range c.say {
			if !strings.Contains(out, say) {
				t.Errorf("%s: says\n%s\nand not %q", c.line, out, say)
			}
		}
	}
}

// A bar passes the line exactly for the numbers of agents that reach the goal.
func TestStaffDrawsTheServiceLevel(t *testing.T) {
	t.Parallel()
	out, _, _ := staff(t, "--calls 360/30m --aht 4m --target 80/15")
	_, chart, ok := strings.Cut(out, "# service level by Erlang C, | the goal of 80%\n")
	if !ok {
		t.Fatalf("no chart:\n%s", out)
	}
	want := `    51 ##########################              |
    52 ###############################         |
    53 ####################################    |
    54 ####################################### |
    55 ########################################|#
    56 ########################################|###
    57 ########################################|####
    58 ########################################|######
    59 ########################################|######
`
	if chart != want {
		t.Errorf("drawn\n%s\nwant\n%s", chart, want)
	}
	out, _, _ = staff(t, "--calls 360/30m --aht 4m --patience 2m")
	if !strings.Contains(out, "    49 ##########c#############################|\n") {
		t.Errorf("no bar of 82.1%% just past the line with Erlang C's 23.0%% in it:\n%s", out)
	}
}

func TestStaffAsJSON(t *testing.T) {
	t.Parallel()
	out, errs, code := staff(t, "--calls 720/1h --aht 240s --patience 120s --target 80/15 --shrinkage 30% --agents 48 -o json")
	var p staffing
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 || errs != "" {
		t.Fatalf("exit %d, %s, %v:\n%s", code, errs, err, out)
	}
	if p.Erlangs != 48 || p.Decides != "erlang_a" || p.Agents != 50 || p.Roster != 72 || p.ByErlangC != 55 || p.Given != 48 || p.Within != 15 || p.Target != 0.8 {
		t.Errorf("%+v", p)
	}
	var agents []int
	for _, r := range p.Rows {
		agents = append(agents, r.Agents)
		if r.A == nil || (r.C == nil) != (r.Agents <= 48) {
			t.Errorf("%d agents: Erlang A %v, Erlang C %v", r.Agents, r.A, r.C)
		}
	}
	if !slices.Equal(agents, []int{44, 45, 46, 47, 48, 49, 50, 51, 52}) {
		t.Fatalf("rows of %v", agents)
	}
	a := p.Rows[4].A
	if math.Abs(a.Abandoned-0.06729) > 1e-5 || math.Abs(a.MeanWait-8.075) > 1e-3 || math.Abs(a.Occupancy-0.93271) > 1e-5 || math.Abs(a.Waiting-0.43713) > 1e-5 {
		t.Errorf("48 agents: %+v", a)
	}
	if a.OfAnswered <= a.OfOffered || a.ASA <= 0 || a.ASA >= a.MeanWait || math.Abs(a.Queue-a.MeanWait/5) > 1e-9 {
		t.Errorf("48 agents: %+v", a)
	}
}

// The page for operators shows what the program prints today.
func TestStaffingPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/staffing.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(page), "```\n$ foyer staff ")[1:]
	if len(examples) < 3 {
		t.Errorf("%d examples on the page", len(examples))
	}
	for _, x := range examples {
		shown, _, _ := strings.Cut(x, "```")
		line, want, _ := strings.Cut(shown, "\n")
		if out, errs, code := staff(t, line); code != 0 || errs != "" || out != want {
			t.Errorf("%s: exit %d, %s\n%s\nthe page shows\n%s", line, code, errs, out, want)
		}
	}
}

// Each mistake gets one sentence that says what to write.
func TestStaffRefusesInOneSentence(t *testing.T) {
	t.Parallel()
	const good = "--calls 360/30m --aht 240s"
	for line, say := range map[string]string{
		"--calls 360 --aht 240s":        "--calls 360: lacks a period; write 360/30m",
		"--calls 360/30 --aht 240s":     "--calls 360/30: the period lacks a unit; write 30s for seconds or 30m for minutes",
		"--calls 360/ --aht 240s":       "--calls 360/: the period must be a time above zero, such as 240s, 4m or 1h",
		"--calls many/30m --aht 240s":   "--calls many/30m: must be a number of calls and a period, such as 360/30m",
		"--calls=-5/30m --aht 240s":     "--calls -5/30m: must be a number of calls and a period, such as 360/30m",
		"--calls 360/30m --aht 240":     "--aht 240: lacks a unit; write 240s for seconds or 240m for minutes",
		"--calls 360/30m --aht 0s":      "--aht 0s: must be a time above zero, such as 240s, 4m or 1h",
		good + " --target 80":           "--target 80: must be a percentage between 0 and 100 and a number of seconds, such as 80/20",
		good + " --target 100/20":       "--target 100/20: must be a percentage between 0 and 100 and a number of seconds, such as 80/20",
		good + " --target 80/soon":      "--target 80/soon: must be a percentage between 0 and 100 and a number of seconds, such as 80/20",
		good + " --patience 120":        "--patience 120: lacks a unit; write 120s for seconds or 120m for minutes",
		good + " --patience 2000000h":   "patience: 2000000h0m0s, too long for so many calls; Erlang C is for callers who never leave",
		good + " --shrinkage 0.3":       "--shrinkage 0.3: must be a percentage from 0% to 99%, such as 30%",
		good + " --shrinkage 100%":      "--shrinkage 100%: must be a percentage from 0% to 99%, such as 30%",
		good + " --max-occupancy 0%":    "--max-occupancy 0%: must be a percentage from 1% to 100%, such as 30%",
		good + " --agents=-1":           "--agents -1: must be 1 to 100000",
		good + " --agents 100001":       "--agents 100001: must be 1 to 100000",
		"--calls 9999999/1m --aht 240s": "not even 100000 agents reach this goal",
	} {
		out, errs, code := staff(t, line)
		if code != 1 || out != "" || errs != "foyer: "+say+"\n" {
			t.Errorf("%s: exit %d\n%s%s\nwant %s", line, code, out, errs, say)
		}
	}
	if _, errs, code := staff(t, "--calls 360/30m"); code == 0 || !strings.Contains(errs, "--aht") {
		t.Errorf("without --aht: exit %d, %s", code, errs)
	}
}

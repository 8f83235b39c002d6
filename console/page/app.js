import { sync, text, twice } from "./rows.js";

const lang = document.documentElement.lang;
const $ = (id) => document.getElementById(id);
const words = await (await fetch("/assets/" + lang + ".json")).json();
const t = (key, ...args) => (words[key] ?? key).replace(/\{(\d)\}/g, (_, n) => args[n] ?? "");
const word = (prefix, key) => (key ? words[prefix + key] ?? key : "");

const store = "foyer.token";
let skew = 0; // the switch's clock minus ours, ms
let lastGood = null;
let timer = 0;
let turning = false;
let asked = 0; // rounds begun, and the newest of them that is on the screen
let shown = 0;
let telling = ""; // the call whose story was asked for last
let names = new Map(); // of agents and of queues, by id
let labels = new Map();

const tongue = navigator.languages.find((l) => l.slice(0, 2) === lang) ?? lang;
const clock = new Intl.DateTimeFormat(tongue, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(tongue, { day: "numeric", month: "short" });
const number = new Intl.NumberFormat(tongue);
const mos = new Intl.NumberFormat(tongue, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(tongue, { style: "percent", maximumFractionDigits: 0 });

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || String(status));
    this.status = status;
  }
}

async function api(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(store);
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch("/api/v1" + path, { ...options, headers, signal: options.signal ?? AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

const getList = async (path) => {
  const body = await (await api(path)).json();
  skew = Date.parse(body.now) - Date.now();
  return body.items;
};

const post = (path, body) =>
  api(path, body === undefined ? { method: "POST" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60) : Math.floor(s / 60) + ":" + two(s % 60);
}

const ago = (when) => span((Date.now() + skew - Date.parse(when)) / 1000);
const who = (number) => (number === "anonymous" ? t("anonymous") : number || "–");
const result = (key) => words["s." + key] ?? words["c." + key] ?? key; // of an offer, or why an agent was passed over
const agentName = (id) => (id && names.get(id)) || id;
const queueName = (id) => (id && labels.get(id)) || id;
const several = (ids) => (ids ?? []).map(agentName).join(", ");
const pill = (state, note) => ({ pill: word("s.", state), kind: state, note });

// moment is a time of day, with its date when that is not today.
function moment(when) {
  const at = new Date(when);
  const today = new Date(Date.now() + skew).toDateString() === at.toDateString();
  return today ? clock.format(at) : day.format(at) + " " + clock.format(at);
}

// run does what a button asks and gives notice when it fails.
async function run(act) {
  try {
    await act();
    await poll();
  } catch (e) {
    notice(t("failed", e.message));
  }
}

// notice shows bad news until it is closed or something newer happens.
function notice(message) {
  $("notice").hidden = !message;
  $("notice-text").textContent = message;
}

// say writes the status line. Only bad news is read out: the time of every round is not.
function say(message, bad) {
  text($("status"), message);
  $("status").classList.toggle("bad", !!bad);
  if (bad) text($("news"), message);
}

function showCalls(calls) {
  sync($("calls"), calls, (c) => c.id, (c) => [
    { text: who(c.from) },
    { text: c.position ? queueName(c.queue) + " · " + t("position", c.position) : queueName(c.queue) },
    pill(c.state, c.callback ? t("callback") : ""),
    { text: several(c.ringing) || agentName(c.agent) },
    { text: ago(c.since), num: true },
    { text: ago(c.started), num: true },
    { buttons: [
      { label: t("why"), aria: t("whyOf", who(c.from)), press: () => tell(c.id) },
      { label: t("hangup"), aria: t("hangupOf", who(c.from)), press: (node) => twice(node, t("sure"), () => run(() => post("/calls/" + encodeURIComponent(c.id) + "/hangup"))) },
    ] },
  ]);
  text($("n-calls"), number.format(calls.length));
  text($("n-talking"), number.format(calls.filter((c) => c.state === "talking" || c.state === "held").length));
}

// remark is what a supervisor should know of an agent beside the state: first what
// is wrong, then why they are paused, then what comes next.
function remark(a) {
  if (a.link_lost) return t("linkLost", ago(a.link_lost));
  const said = [];
  if (a.overdue) said.push(t("overdue"));
  if (a.reason) said.push(a.reason);
  if (a.next !== a.state && a.next !== "ready" && !["off", "registered"].includes(a.state)) said.push(t("then", word("s.", a.next) + (a.next_reason ? " (" + a.next_reason + ")" : "")));
  return said.join(" · ");
}

function showAgents(agents) {
  const move = (a, state, body) => () => run(() => post("/agents/" + encodeURIComponent(a.id) + "/" + state, body));
  names = new Map(agents.map((a) => [a.id, a.name]));
  sync($("agents"), agents, (a) => a.id, (a) => [
    { text: a.name || a.id },
    { ...pill(a.state, remark(a)), bad: a.overdue || !!a.link_lost },
    { text: ago(a.since), num: true },
    { text: t(a.reachable ? "reachable" : "unreachable"), bad: !a.reachable && a.state !== "off" },
    { buttons: [
      { label: t("makeReady"), aria: t("makeReadyOf", a.name || a.id), hide: !["not_ready", "wrap_up", "registered"].includes(a.state), press: move(a, "ready") },
      { label: t("pause"), aria: t("pauseOf", a.name || a.id), hide: ["off", "registered", "not_ready"].includes(a.state), press: move(a, "pause", { reason: "console" }) },
      { label: t("release"), aria: t("releaseOf", a.name || a.id), hide: a.in_hand.length === 0, press: (node) => twice(node, t("sure"), move(a, "release")) },
    ] },
  ]);
  text($("n-ready"), number.format(agents.filter((a) => a.state === "ready").length));
}

function showQueues(queues) {
  labels = new Map(queues.map((q) => [q.id, q.label]));
  sync($("queues"), queues, (q) => q.id, (q) => [
    { text: q.open ? q.label || q.id : t("closedQueue", q.label || q.id) },
    { text: number.format(q.waiting), num: true },
    { text: q.waiting ? span(q.oldest_wait_s) : "", num: true },
    { text: q.expected_wait.known ? t("band", span(q.expected_wait.p50_s), span(q.expected_wait.p90_s)) : "", num: true },
    { text: q.callbacks.taken ? number.format(q.callbacks.waiting + q.callbacks.calling + q.callbacks.later) : "", num: true },
    { text: number.format(q.ready) + " / " + number.format(q.logged_in), num: true },
    { text: number.format(q.answered), num: true },
    { text: number.format(q.abandoned), num: true },
    { text: q.service_level === undefined ? "" : percent.format(q.service_level), num: true },
  ]);
  text($("n-waiting"), number.format(queues.reduce((n, q) => n + q.waiting, 0)));
  const longest = Math.max(0, ...queues.map((q) => (q.waiting ? q.oldest_wait_s : 0)));
  text($("n-oldest"), longest ? span(longest) : "");
}

function showRecordings(recordings) {
  sync($("recordings"), recordings, (r) => r.id, (r) => {
    const when = moment(r.started);
    return [
      { text: when },
      { text: who(r.from) },
      { text: queueName(r.queue) },
      { text: agentName(r.agent) },
      { text: span(r.duration_s), num: true },
      pill(r.state, r.held ? t("held") : ""),
      { buttons: r.erased ? [] : [
        { label: t("play"), aria: t("playOf", who(r.from), when), press: (node) => node.dataset.busy || run(() => play(node, r, when)) },
        { label: t("download"), aria: t("downloadOf", who(r.from), when), press: (node) => node.dataset.busy || run(() => download(node, r)) },
      ] },
    ];
  });
}

function showContacts(contacts) {
  sync($("contacts"), contacts, (c) => c.id, (c) => [
    { text: moment(c.started) },
    { text: who(c.from) },
    { text: queueName(c.queue) },
    { text: agentName(c.agent) },
    pill(c.outcome, words["c." + c.cause]), // a cause that says no more than the outcome has no word
    { text: span(c.queued_s), num: true },
    { text: c.talk_s ? span(c.talk_s) : "", num: true },
    { text: word("b.", c.ended_by) },
    { text: c.mos_min ? mos.format(c.mos_min) : "", num: true },
    { buttons: [{ label: t("why"), aria: t("whyOf", who(c.from)), press: () => tell(c.id) }] },
  ]);
}

async function audioOf(node, id, query) {
  const label = node.textContent;
  node.dataset.busy = "1";
  node.textContent = t("loading");
  try {
    return await (await api("/recordings/" + encodeURIComponent(id) + "/audio" + query, { signal: AbortSignal.timeout(120000) })).blob();
  } finally {
    delete node.dataset.busy;
    node.textContent = label;
  }
}

async function play(node, r, when) {
  const blob = await audioOf(node, r.id, "");
  const audio = $("audio");
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  text($("player-title"), who(r.from) + " · " + when);
  $("player").hidden = false;
  await audio.play().catch(() => {}); // some browsers want another press: the player is there for it
  audio.focus();
}

function closePlayer() {
  const audio = $("audio");
  audio.pause();
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.removeAttribute("src");
  $("player").hidden = true;
}

async function download(node, r) {
  const url = URL.createObjectURL(await audioOf(node, r.id, "?download=true"));
  const link = document.createElement("a");
  link.href = url;
  link.download = "foyer-" + r.id.replace(/[^\w.-]/g, "_") + ".wav";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// tell shows why a call went where it went, and its messages.
async function tell(id) {
  const path = "/calls/" + encodeURIComponent(id);
  telling = id;
  text($("story-title"), t("callOf", id));
  text($("story-text"), t("loading"));
  text($("story-ladder"), t("loading"));
  $("story-offers").replaceChildren();
  if (!$("story").open) $("story").showModal();
  const [why, ladder] = await Promise.allSettled([
    api(path + "/explain?lang=" + lang).then((a) => a.json()),
    api(path + "/trace?format=ladder").then((a) => a.text()),
  ]);
  if (telling !== id) return; // another was asked for meanwhile
  text($("story-ladder"), ladder.value ?? ladder.reason.message);
  if (!why.value) {
    text($("story-text"), why.reason.message);
    return;
  }
  text($("story-text"), why.value.text);
  for (const o of why.value.offers) {
    const p = document.createElement("p");
    p.textContent = o.text || t("offer", o.offer, agentName(o.agent), span(o.waited_s)) + (o.result ? " · " + result(o.result) : "");
    const ul = document.createElement("ul");
    for (const c of o.candidates ?? []) {
      const li = document.createElement("li");
      li.textContent = agentName(c.agent) + (c.failed ? " · " + result(c.failed) : c.idle_s ? " · " + t("idle", span(c.idle_s)) : "");
      if (c.failed) li.className = "quiet";
      ul.append(li);
    }
    $("story-offers").append(p, ul);
  }
}

const parts = [ // agents and queues first: the others show their names
  { id: "agents", path: "/agents", show: showAgents, every: 1 },
  { id: "queues", path: "/queues", show: showQueues, every: 1 },
  { id: "calls", path: "/calls?live=true", show: showCalls, every: 1 },
  { id: "recordings", path: "/recordings?limit=25", show: showRecordings, every: 3 },
  { id: "contacts", path: "/contacts?limit=25", show: showContacts, every: 3 },
];
let round = 0;

// poll asks for every part whose turn it is. A part the token does not cover, or
// this switch does not have, is not shown.
async function poll() {
  const mine = ++asked;
  const due = parts.filter((p) => round % p.every === 0);
  const results = await Promise.allSettled(due.map((p) => getList(p.path)));
  if (mine < shown) return; // a newer round is on the screen
  shown = mine;
  let failed = null;
  results.forEach((r, i) => {
    const status = r.reason?.status;
    const section = $(due[i].id);
    if (r.status === "fulfilled") {
      due[i].show(r.value);
      section.hidden = false;
    } else if (status === 403 || status === 501) section.hidden = true;
    else if (status === 401) throw r.reason;
    else failed = r.reason;
  });
  if (failed) throw failed;
}

async function turn() {
  if (turning) return;
  turning = true;
  clearTimeout(timer);
  try {
    await poll();
    round++;
    lastGood = new Date();
    say(t("live", clock.format(lastGood)));
    $("login").hidden = true;
    $("board").hidden = false;
    $("leave").hidden = !sessionStorage.getItem(store);
  } catch (e) {
    if (e.status === 401) return askToken();
    say(lastGood ? t("lost", clock.format(lastGood)) : t("failed", e.message), true);
  } finally {
    turning = false;
  }
  timer = setTimeout(turn, document.hidden ? 5000 : 1500);
}

function askToken() {
  text($("login-error"), sessionStorage.getItem(store) ? t("badToken") : " ");
  sessionStorage.removeItem(store);
  closePlayer();
  notice("");
  say(t("loginTitle"));
  $("board").hidden = true;
  $("leave").hidden = true;
  $("login").hidden = false;
  $("token").focus();
}

$("login-form").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem(store, $("token").value.trim());
  $("token").value = "";
  round = 0;
  turn();
});
$("leave").addEventListener("click", () => {
  sessionStorage.removeItem(store);
  location.reload();
});
$("notice-close").addEventListener("click", () => notice(""));
$("player-close").addEventListener("click", closePlayer);
$("story-close").addEventListener("click", () => $("story").close());
document.addEventListener("visibilitychange", () => document.hidden || !$("login").hidden || turn());
turn();

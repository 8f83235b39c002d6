// Rows of a table, kept by key: a row that is still there keeps its place in the
// document, its focus and its buttons; only texts that changed are written. Every
// text goes in through textContent, so that what a caller sends stays text.

export function text(node, value) {
  const s = missing(value) ? "–" : String(value);
  if (node.textContent !== s) node.textContent = s;
}

const missing = (value) => value === undefined || value === null || value === "";

// cell describes one column of a row:
//   {text, num, bad}     a text
//   {pill, kind, note, bad}  a state, drawn as a coloured word with a mark, and what is to be said of it
//   {buttons: [{label, aria, kind, hide, disabled, press}]}
export function sync(section, items, keyOf, cellsOf) {
  const body = section.querySelector("tbody");
  const wanted = new Set(items.map((item) => String(keyOf(item))));
  const old = new Map();
  for (const tr of [...body.rows]) {
    if (wanted.has(tr.dataset.key)) old.set(tr.dataset.key, tr);
    else leave(section, tr); // first, so that no row that stays must move and lose its focus
  }
  const heads = [...section.querySelectorAll("thead th")];
  let before = body.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let tr = old.get(key);
    const cells = cellsOf(item);
    if (!tr) {
      tr = document.createElement("tr");
      tr.setAttribute("role", "row");
      tr.dataset.key = key;
      tr.append(...cells.map((c, i) => cellOf(c, i, heads[i].textContent)));
    }
    cells.forEach((c, i) => fill(tr.children[i], c));
    if (tr === before) before = before.nextElementSibling;
    else body.insertBefore(tr, before);
  }
  section.querySelector(".scroll").hidden = items.length === 0;
  section.querySelector(".empty").hidden = items.length !== 0;
}

// cellOf makes an empty cell. The roles and the label are for narrow screens, where
// a row is laid out as a card and no longer as part of a table.
function cellOf(cell, column, label) {
  const node = document.createElement(column === 0 ? "th" : "td");
  if (column === 0) node.scope = "row";
  node.setAttribute("role", column === 0 ? "rowheader" : "cell");
  node.dataset.label = label;
  node.className = cell.buttons ? "act" : cell.pill !== undefined ? "state" : cell.num ? "num" : "";
  return node;
}

// leave takes a row away. If the focus was in it, the table keeps it.
function leave(section, tr) {
  const focused = tr.contains(document.activeElement);
  tr.remove();
  if (focused) section.querySelector(".scroll").focus();
}

function fill(td, cell) {
  if (cell.buttons) return fillButtons(td, cell.buttons);
  if (cell.pill !== undefined) {
    if (!td.firstElementChild) td.append(document.createElement("span"), document.createElement("span"));
    const [state, note] = td.children;
    text(state, cell.pill);
    state.className = "pill " + (/^[a-z_]+$/.test(cell.kind) ? cell.kind : "");
    text(note, cell.note);
    note.className = "note";
    note.hidden = !cell.note;
    note.classList.toggle("bad", !!cell.bad);
    return;
  }
  td.classList.toggle("none", missing(cell.text));
  td.classList.toggle("bad", !!cell.bad);
  text(td, cell.text);
}

function fillButtons(td, buttons) {
  buttons.forEach((b, i) => {
    let node = td.children[i];
    if (!node) {
      node = document.createElement("button");
      node.type = "button";
      td.append(node);
    }
    node.onclick = () => b.press(node);
    node.hidden = !!b.hide;
    if (node.dataset.armed || node.dataset.busy) return;
    text(node, b.label);
    if (node.getAttribute("aria-label") !== b.aria) node.setAttribute("aria-label", b.aria);
  });
}

// twice asks for a second press within four seconds before it acts.
export function twice(node, question, act) {
  if (node.dataset.armed) {
    disarm(node);
    act();
    return;
  }
  const label = node.textContent, aria = node.getAttribute("aria-label");
  node.dataset.armed = "1";
  node.textContent = question;
  node.setAttribute("aria-label", question + " : " + aria);
  node.classList.add("danger");
  node.disarm = () => {
    node.textContent = label;
    node.setAttribute("aria-label", aria);
  };
  node.timer = setTimeout(() => disarm(node), 4000);
}

function disarm(node) {
  clearTimeout(node.timer);
  delete node.dataset.armed;
  node.classList.remove("danger");
  node.disarm();
}

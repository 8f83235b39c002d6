// Rows of a table, kept by key: a row that is still there keeps its place in the
// document, its focus and its buttons; only texts that changed are written. Every
// text goes in through textContent, so that what a caller sends stays text.

export function text(node, value) {
  const s = value === undefined || value === null || value === "" ? "–" : String(value);
  if (node.textContent !== s) node.textContent = s;
}

// cell describes one column of a row:
//   {text, num}          a text
//   {pill, kind}         a state, drawn as a coloured word
//   {buttons: [{label, aria, kind, hide, disabled, press}]}
export function sync(section, items, keyOf, cellsOf) {
  const body = section.querySelector("tbody");
  const wanted = new Set(items.map((item) => String(keyOf(item))));
  const old = new Map();
  for (const tr of [...body.rows]) {
    if (wanted.has(tr.dataset.key)) old.set(tr.dataset.key, tr);
    else tr.remove(); // first, so that no row that stays must move and lose its focus
  }
  let before = body.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let tr = old.get(key);
    const cells = cellsOf(item);
    if (!tr) {
      tr = document.createElement("tr");
      tr.dataset.key = key;
      cells.forEach((c, i) => tr.append(document.createElement(i === 0 ? "th" : "td")));
      tr.firstElementChild.scope = "row";
    }
    cells.forEach((c, i) => fill(tr.children[i], c));
    if (tr === before) before = before.nextElementSibling;
    else body.insertBefore(tr, before);
  }
  section.querySelector(".scroll").hidden = items.length === 0;
  section.querySelector(".empty").hidden = items.length !== 0;
}

function fill(td, cell) {
  if (cell.buttons) return fillButtons(td, cell.buttons);
  if (cell.pill !== undefined) {
    let span = td.firstElementChild;
    if (!span) td.append(span = document.createElement("span"));
    text(span, cell.pill);
    span.className = "pill " + (/^[a-z_]+$/.test(cell.kind) ? cell.kind : "");
    span.title = cell.title || "";
    return;
  }
  if (cell.num) td.className = "num";
  text(td, cell.text);
}

function fillButtons(td, buttons) {
  td.className = "act";
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

// Zooms, searches and explains the pictures of a page of graphs, see page.ts.
const { graphs, views } = JSON.parse(document.getElementById("data").textContent);
const [select, search, found, details] = ["view", "search", "found", "details"].map((id) =>
  document.getElementById(id)
);
const sections = [...document.querySelectorAll("section")];

/** The picture that is shown. */
function current() {
  return sections[Number(select.value)].querySelector("svg");
}

// What is in view: a rectangle of the picture, as wide as the window.

const boxes = new Map();
for (const section of sections) {
  const svg = section.querySelector("svg");
  const { x, y, width, height } = svg.viewBox.baseVal;
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  boxes.set(svg, { whole: { x, y, width, height }, x, y, width, height });
}

function look(svg, box) {
  Object.assign(boxes.get(svg), box);
  const { x, y, width, height } = boxes.get(svg);
  svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
}

/** A long picture begins at its top, in letters that can be read. */
function fit(svg) {
  const { whole } = boxes.get(svg);
  const shape = svg.clientHeight / svg.clientWidth;
  const width = Math.min(Math.max(whole.width, 0.75 * svg.clientWidth), 1.2 * svg.clientWidth);
  look(svg, {
    width,
    height: width * shape,
    x: whole.x + (whole.width - width) / 2,
    y: whole.y,
  });
}

function zoom(svg, factor, clientX, clientY) {
  const box = boxes.get(svg);
  const rect = svg.getBoundingClientRect();
  const [u, v] = [(clientX - rect.left) / rect.width, (clientY - rect.top) / rect.height];
  const width = Math.min(Math.max(box.width * factor, 40), 4 * Math.max(box.whole.width, box.whole.height));
  const height = box.height * width / box.width;
  look(svg, {
    x: box.x + u * (box.width - width),
    y: box.y + v * (box.height - height),
    width,
    height,
  });
}

for (const svg of boxes.keys()) {
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(svg, 1.0015 ** event.deltaY, event.clientX, event.clientY);
  }, { passive: false });
  let from;
  svg.addEventListener("pointerdown", (event) => from = event);
  svg.addEventListener("pointermove", (event) => {
    if (!from || event.buttons === 0) return void (from = undefined);
    if (!svg.hasPointerCapture(event.pointerId)) {
      if (Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 4) return;
      svg.setPointerCapture(event.pointerId); // from here on it is no click
    }
    const { x, y, width } = boxes.get(svg);
    const scale = width / svg.clientWidth;
    look(svg, {
      x: x - (event.clientX - from.clientX) * scale,
      y: y - (event.clientY - from.clientY) * scale,
    });
    from = event;
  });
  svg.addEventListener("pointerup", () => from = undefined);
  svg.addEventListener("click", (event) => choose(event.target.closest(".node")));
}

// Dispatches by the ids of their boxes, gN_VALUE.

const steps = new Map();
graphs.forEach((graph, g) => {
  for (const step of graph.steps) steps.set(`${g} ${step.id}`, step);
});

function nameOf(g, id) {
  const leaf = graphs[g].leaves.find((leaf) => leaf.id === id);
  if (leaf) return leaf.name;
  const { kernel, path } = steps.get(`${g} ${id}`);
  return `${path || "(loop)"} (${kernel})`;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A list of values, of which dispatches can be clicked. */
function links(g, ids) {
  return ids.map((id) =>
    element(
      "dd",
      {},
      steps.has(`${g} ${id}`)
        ? element("button", { type: "button", onclick: () => show(id) }, nameOf(g, id))
        : nameOf(g, id),
    )
  );
}

function choose(node) {
  const svg = current();
  for (const marked of svg.querySelectorAll(".chosen, .near")) marked.classList.remove("chosen", "near");
  if (!node) return;
  node.classList.add("chosen");
  const title = node.querySelector("title").textContent;
  for (const edge of svg.querySelectorAll(".edge")) {
    const [from, to] = edge.querySelector("title").textContent.split("->");
    if (from === title || to === title) edge.classList.add("near");
  }
  const g = views[Number(select.value)];
  const id = Number(node.id.replace(/^g\d+_/, ""));
  const step = steps.get(`${g} ${id}`);
  if (!step) return describeModule(g, node.id.replace(/^g\d+_/, ""));
  const { path, kernel, shape, dtype, fused, inputs, workgroups, flops, bytes, arena, offset, isKept } = step;
  const formula = fused && element("dd", { className: "formula" }, fused);
  const operands = inputs.filter(({ as }) => as).map(({ as, id }) =>
    element("dd", {}, `${as} = `, ...links(g, [id])[0].childNodes)
  );
  const readers = graphs[g].steps.filter(({ inputs }) => inputs.some((input) => input.id === id));
  const facts = [
    ["kernel", `${kernel}, ${workgroups} workgroups`],
    [
      "result",
      `[${shape.join(", ")}] ${dtype}, arena ${arena} + ${offset}${isKept ? ", kept from run to run" : ""}`,
    ],
    ["work", `${(flops / 1e6).toPrecision(3)} MFLOP, ${(bytes / 1e6).toPrecision(3)} MB at least`],
  ].flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]);
  details.replaceChildren(
    element("h2", {}, path || "(loop)"),
    element(
      "dl",
      {},
      ...facts,
      ...formula ? [element("dt", {}, "fused into it"), formula, ...operands] : [],
      element("dt", {}, "the kernel reads"),
      ...links(g, inputs.filter(({ as }) => !as).map(({ id }) => id)),
      element("dt", {}, "read by"),
      ...links(g, readers.map(({ id }) => id)),
    ),
  );
}

/** A box of a module, an input or a result. */
function describeModule(g, name) {
  const own = graphs[g].steps.filter(({ path }) => path === name || path.startsWith(`${name}.`));
  const list = own.map(({ id }) => id);
  details.replaceChildren(
    element("h2", {}, list.length ? name : "an input or a result"),
    element("dl", {}, ...list.length ? [element("dt", {}, "its dispatches")] : [], ...links(g, list)),
  );
}

/** Brings a dispatch into view; in a folded picture that of all is shown. */
function show(id) {
  const g = views[Number(select.value)];
  const whole = views.lastIndexOf(g);
  if (Number(select.value) !== whole) {
    select.value = String(whole);
    change();
  }
  const svg = current();
  const node = svg.querySelector(`#g0_${id}`);
  if (!node) return;
  const [box, rect, view] = [boxes.get(svg), node.getBoundingClientRect(), svg.getBoundingClientRect()];
  const scale = box.width / view.width;
  look(svg, {
    x: box.x + (rect.left + rect.width / 2 - view.left - view.width / 2) * scale,
    y: box.y + (rect.top + rect.height / 2 - view.top - view.height / 2) * scale,
  });
  choose(node);
}

function find() {
  const svg = current();
  const word = search.value.trim().toLowerCase();
  svg.classList.toggle("searched", word !== "");
  let count = 0;
  const g = views[Number(select.value)];
  for (const node of svg.querySelectorAll(".node")) {
    const step = steps.get(`${g} ${node.id.replace(/^g\d+_/, "")}`);
    const text = `${node.textContent} ${step?.path ?? ""} ${step?.fused ?? ""}`.toLowerCase();
    const isFound = word !== "" && text.includes(word);
    node.classList.toggle("found", isFound);
    if (isFound) count++;
  }
  found.textContent = word ? `${count} found` : "";
}

function change() {
  sections.forEach((section, i) => section.hidden = i !== Number(select.value));
  fit(current());
  find();
}

select.addEventListener("change", change);
search.addEventListener("input", find);
document.getElementById("fit").addEventListener("click", () => {
  const svg = current();
  const { whole } = boxes.get(svg);
  const shape = svg.clientHeight / svg.clientWidth;
  const width = Math.max(whole.width, whole.height / shape);
  look(svg, { width, height: width * shape, x: whole.x + (whole.width - width) / 2, y: whole.y });
});
addEventListener("resize", () => {
  const svg = current();
  look(svg, { height: boxes.get(svg).width * svg.clientHeight / svg.clientWidth });
});
select.value = String(views.lastIndexOf(0));
change();

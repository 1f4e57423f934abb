// A map of points on a canvas. Points are drawn once, off the screen; hovering draws only a ring and a name.
// Nothing is fetched: coordinates come as bytes in [0, 1], y upwards; the page needs no network.
const SHAPES = [
  (c, x, y, r) => c.arc(x, y, r, 0, 7),
  (c, x, y, r) => { c.moveTo(x, y - 1.2 * r); c.lineTo(x + 1.1 * r, y + 0.9 * r); c.lineTo(x - 1.1 * r, y + 0.9 * r); c.closePath(); },
  (c, x, y, r) => c.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r),
  (c, x, y, r) => { c.moveTo(x, y - 1.3 * r); c.lineTo(x + 1.3 * r, y); c.lineTo(x, y + 1.3 * r); c.lineTo(x - 1.3 * r, y); c.closePath(); },
];

function render({ model, el }) {
  const canvas = document.createElement("canvas"), tip = document.createElement("div"), said = document.createElement("div");
  const still = document.createElement("canvas"), photo = new Image();
  el.classList.add("flow-scatter");
  el.append(canvas, tip, said);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  said.setAttribute("aria-live", "polite");
  said.className = "said";
  tip.className = "tip";
  let xy, kind, at = model.get("selected"), margin = 8, W, H, url;

  const bytes = (name, Type) => { const b = model.get(name); return new Type(b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength)); };
  const place = i => [margin + xy[2 * i] * (W - 2 * margin), margin + (1 - xy[2 * i + 1]) * (H - 2 * margin)];

  function drawAll() {
    xy = bytes("points", Float32Array); kind = bytes("kinds", Uint8Array);
    [W, H] = model.get("size");
    margin = model.get("picture").byteLength ? 0 : 8;
    if (at >= kind.length) at = -1;
    const ratio = window.devicePixelRatio || 1, looks = model.get("looks");
    for (const c of [canvas, still]) { c.width = W * ratio; c.height = H * ratio; }
    canvas.style.width = `${W}px`; canvas.style.height = `${H}px`;
    canvas.setAttribute("aria-label", model.get("label"));
    const c = still.getContext("2d");
    c.scale(ratio, ratio);
    if (margin === 0 && photo.complete && photo.naturalWidth) { c.imageSmoothingEnabled = false; c.drawImage(photo, 0, 0, W, H); }
    for (let i = 0; i < kind.length; i++) {
      const [colour, shape, radius, hollow] = looks[kind[i]];
      if (!radius) continue;
      c.beginPath(); SHAPES[shape](c, ...place(i), radius);
      if (hollow) { c.strokeStyle = colour; c.lineWidth = 1.2; c.stroke(); } else { c.globalAlpha = 0.8; c.fillStyle = colour; c.fill(); c.globalAlpha = 1; }
    }
    draw();
  }

  function ring(c, i, colour, width) {
    const [w, h] = model.get("cell"), [x, y] = place(i);
    for (const [stroke, line] of [["white", width + 2], [colour, width]]) {
      c.beginPath(); w ? c.rect(x - w * W / 2, y - h * H / 2, w * W, h * H) : c.arc(x, y, 9, 0, 7);
      c.strokeStyle = stroke; c.lineWidth = line; c.stroke();
    }
  }

  function draw() {
    const c = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1, chosen = model.get("selected");
    c.setTransform(1, 0, 0, 1, 0, 0); c.clearRect(0, 0, canvas.width, canvas.height); c.drawImage(still, 0, 0);
    c.scale(ratio, ratio);
    if (chosen >= 0 && chosen < kind.length) ring(c, chosen, "black", 2.5);
    const name = at >= 0 ? model.get("names")[at] : "";
    tip.textContent = name; tip.style.display = name ? "block" : "none";
    if (at < 0) return;
    if (at !== chosen) ring(c, at, "#D55E00", 2);
    const [x, y] = place(at);
    tip.style.left = `${Math.min(x + 12, W - 7 * name.length)}px`; tip.style.top = `${Math.max(0, y - 28)}px`;
  }

  function nearest(px, py, reach, cost = (dx, dy) => Math.hypot(dx, dy)) {
    let best = -1, least = reach;
    for (let i = 0; i < kind.length; i++) {
      const [x, y] = place(i), d = cost(x - px, y - py);
      if (d < least) { least = d; best = i; }
    }
    return best;
  }

  const reach = () => (model.get("cell")[0] ? Infinity : 14);
  const under = e => { const r = canvas.getBoundingClientRect(); return nearest(e.clientX - r.left, e.clientY - r.top, reach()); };
  const open = i => { if (i < 0) return; at = i; model.set("selected", i); model.save_changes(); draw(); };
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  canvas.onmousemove = e => { const i = under(e); if (i !== at) { at = i; draw(); } };
  canvas.onmouseleave = () => { at = -1; draw(); };
  canvas.onclick = e => open(under(e));
  canvas.onkeydown = e => {
    const step = STEPS[e.key];
    if (!step && e.key !== "Enter" && e.key !== " ") return;
    e.preventDefault(); e.stopPropagation();             // or the notebook moves to another cell
    if (!step) return open(at);
    const from = at >= 0 ? at : Math.max(0, model.get("selected")), [px, py] = place(from);
    const next = nearest(px, py, Infinity, (dx, dy) => {  // ahead first, then near; what lies behind does not count
      const ahead = dx * step[0] + dy * step[1], aside = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      return ahead > 0.5 ? ahead + 3 * aside : Infinity;
    });
    if (next >= 0) { at = next; draw(); said.textContent = `${model.get("names")[at]}. Enter opens it.`; }
  };

  const follow = () => { at = -1; draw(); };
  function background() {
    if (url) URL.revokeObjectURL(url);
    const b = model.get("picture");
    if (b.byteLength) photo.src = url = URL.createObjectURL(new Blob([b], { type: "image/png" }));
  }
  photo.onload = drawAll;
  const events = { "change:points": drawAll, "change:selected": follow, "change:picture": background };
  for (const [name, f] of Object.entries(events)) model.on(name, f);
  background(); drawAll();
  return () => { for (const [name, f] of Object.entries(events)) model.off(name, f); if (url) URL.revokeObjectURL(url); };
}

export default { render };

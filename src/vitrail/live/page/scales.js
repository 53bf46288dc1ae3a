// Values to colours, and the legend that says which is which.

const OPACITY = 0.85;
const POWER = 0.7;
const FIRST = 0.35; // of the colours of attention: the darkest would pass for shadows of the image

let ramps = {};
let full = 16;

export function useScales(scales) {
  ramps = scales.ramps;
  full = scales.full_share;
}

function colour(scale, place) {
  const ramp = ramps[scale];
  return ramp[Math.round(Math.min(1, Math.max(0, place)) * (ramp.length - 1))];
}

/** The place of a value on its scale, in [0, 1], and how much of the image it covers. */
function placed(map, value) {
  switch (map.scale) {
    case "share": {
      const heat = Math.log2(Math.min(full, Math.max(1, value / map.even))) / Math.log2(full);
      return [FIRST + (0.98 - FIRST) * heat, OPACITY * heat ** POWER];
    }
    case "cosine":
      return [value, OPACITY];
    case "signed": {
      const share = map.largest ? value / map.largest : 0;
      return [0.5 + share / 2, OPACITY * Math.abs(share) ** POWER];
    }
    default: {
      const share = map.largest ? value / map.largest : 0;
      return [share, OPACITY * share ** POWER];
    }
  }
}

/** Draw values of a map, one pixel each, into a small canvas. */
export function coloured(map, values) {
  const [rows, columns] = map.shape.slice(-2);
  const small = new OffscreenCanvas(columns, rows);
  const pixels = new ImageData(columns, rows);
  values.forEach((value, n) => {
    if (Number.isNaN(value)) return;
    const [place, opacity] = placed(map, value);
    pixels.data.set([...colour(map.scale, place), 255 * opacity], 4 * n);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}

/** What stands below the ramp, and what it is of. */
function ticks(map) {
  switch (map.scale) {
    case "share":
      return ["1×", "2×", "4×", "8×", `${full}× and more`];
    case "cosine":
      return ["0 and less", "0.25", "0.5", "0.75", "1"];
    case "signed":
      return [-1, -0.5, 0, 0.5, 1].map((share) => figure(share * map.largest));
    default:
      return [0, 0.25, 0.5, 0.75, 1].map((share) => figure(share * map.largest));
  }
}

function figure(value) {
  if (!value) return "0";
  return Number(value.toPrecision(2)).toString().replace("-", "−");
}

/** Draw the legend of a map into an element; of nothing where there is no map. */
export function drawLegend(place, map) {
  place.replaceChildren();
  place.hidden = !map;
  if (!map) return;
  const ramp = document.createElement("canvas");
  ramp.className = "ramp";
  ramp.width = 256;
  ramp.height = 1;
  ramp.setAttribute("aria-hidden", "true");
  const pen = ramp.getContext("2d");
  pen.fillStyle = "#969696"; // the middle grey of an image below
  pen.fillRect(0, 0, 256, 1);
  const even = map.scale === "share" ? map.even : 1;
  const values = Float32Array.from({ length: 256 }, (_, n) => {
    const share = n / 255;
    if (map.scale === "share") return even * full ** share;
    if (map.scale === "cosine") return share;
    return (map.scale === "signed" ? 2 * share - 1 : share) * (map.largest || 1);
  });
  pen.drawImage(coloured({ ...map, largest: map.largest || 1, shape: [1, 256] }, values), 0, 0);
  const below = document.createElement("div");
  below.className = "ticks";
  for (const text of ticks(map)) below.append(Object.assign(document.createElement("span"), { textContent: text }));
  place.append(ramp, below, Object.assign(document.createElement("div"), { className: "unit", textContent: map.unit }));
}

/** Read the values of a map as they travel: base64 of little-endian float32. */
export function valuesOf(map) {
  const bytes = Uint8Array.from(atob(map.values), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

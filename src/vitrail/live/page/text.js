// How names and figures are written.

/** Cut a long name in the middle, so that both its beginning and its end are seen. */
export function shortened(text, most = 40) {
  const letters = [...text];
  if (letters.length <= most) return text;
  const end = Math.floor((most - 1) / 2);
  return `${letters.slice(0, most - 1 - end).join("")}…${letters.slice(-end).join("")}`;
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Write the difference of two shares, with its sign; "" where it rounds to nothing. */
export function points(difference) {
  const rounded = Math.round(1000 * difference) / 10;
  if (!rounded) return "";
  return `${rounded > 0 ? "▲ +" : "▼ −"}${Math.abs(rounded).toFixed(1)} points`;
}

export function count(number) {
  return number.toLocaleString("en-US");
}

/** Make an element with properties and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Say something to a screen reader. */
export function speak(text) {
  document.getElementById("spoken").textContent = text;
}

// Colours that people with any colour vision tell apart; tests/viewing checks them under simulated vision.

/** No damage, minor, major, destroyed, unknown. */
export const COLOURS = ["#2f7fc1", "#ffe14d", "#f58220", "#a3004f", "#9aa3ab"] as const;
/** Ink that is read on each of them. */
export const INKS = ["#ffffff", "#1b1b1b", "#1b1b1b", "#ffffff", "#1b1b1b"] as const;

export function rgb(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [(value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}

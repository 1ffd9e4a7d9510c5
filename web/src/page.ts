// What all parts of the page work with.
import type { Chips } from "./chips.ts";
import type { About, Files } from "./data.ts";
import type { DamageView } from "./map.ts";
import type { State } from "./state.ts";
import type { Learner } from "./learn/learner.ts";

export type Page = {
  files: Files;
  about: About;
  state: State;
  view: DamageView;
  chips: Chips;
  learner: Learner;
  session: Session | null;
  /** Says something to people who cannot see the page, and to others below the map. */
  say(text: string, seconds?: number): void;
  /** Shows a building: selects it and moves the map if it is out of view. */
  go(place: number, closer?: boolean): void;
};

/** What `siamese view` answers; absent on a page that nobody serves. */
export type Session = { token: string; labels: boolean };

/** The command that hands a file of labels in. */
export function command(verb: "adapt" | "assess", about: About, file: string, size?: number): string {
  return `siamese ${verb} ${about.digest}${size ? ` -n ${size}` : ""} --labels ${file}`;
}

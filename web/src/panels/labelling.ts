// What teaching and assessing share: buttons for the classes, and handing labels in.
import { h } from "../dom.ts";
import { labelsToGeoJson, LABELS, save } from "../handing.ts";
import type { Labels } from "../labels.ts";
import { command, type Page } from "../page.ts";
import { named, t } from "../strings.ts";

/** A button for each class, with its key. */
export function classButtons(chosen: number | null, give: (label: number) => void): HTMLElement {
  return h("div", { class: "classes", role: "group", "aria-label": t("card.label") }, ...LABELS.map((name, label) =>
    h("button", { type: "button", class: `class c${label < 4 ? label : 4}`, "data-label": label, "aria-pressed": String(chosen === label), "aria-keyshortcuts": String(label + 1), onclick: () => give(label) },
      h("kbd", { "aria-hidden": "true" }, String(label + 1)), named("class", name))));
}

/** Which label a key means; null for none. */
export function labelOf(key: string): number | null {
  const label = Number.parseInt(key, 10) - 1;
  return label >= 0 && label < LABELS.length ? label : null;
}

export function author(labels: Labels, id: string): HTMLElement {
  const field = h("input", { type: "text", id, maxlength: 120, autocomplete: "name" });
  field.value = labels.author;
  field.addEventListener("input", () => labels.setAuthor(field.value.trim()));
  return h("div", { class: "fields" }, h("label", { for: id }, t("teach.author")), field);
}

/** What the server says of labels that it kept. */
type Kept = { set?: string; open?: number; assessment?: string };

/** Buttons that hand labels on, and what came of it. */
export function handIn(page: Page, labels: Labels, purpose: "label" | "assessment", size: () => number): { root: HTMLElement; show: () => void } {
  const told = h("p", { role: "status", class: "wrap" });
  const verb = purpose === "label" ? "adapt" as const : "assess" as const;
  const file = `${page.about.map.event || "map"}-${verb === "adapt" ? "labels" : "assessment"}.geojson`.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  const kept = (answer: Kept): string => {
    const set = answer.set ?? "";
    if (purpose === "label") return t("teach.kept", { set, command: next() });
    return answer.assessment
      ? t("assess.made", { set, assessment: answer.assessment, command: `siamese report ${page.about.digest}` })
      : t("assess.kept", { set, n: answer.open ?? 0 });
  };
  const next = (): string => command(verb, page.about, file, purpose === "assessment" ? size() : undefined);
  const save_ = h("button", {
    type: "button", id: `${verb}-save`, onclick: () => {
      save(file, labelsToGeoJson(page.state, labels.all()), "application/geo+json");
      told.textContent = t("teach.hint", { command: next() });
    },
  }, t(verb === "adapt" ? "teach.save" : "assess.save"));
  const keep = h("button", {
    type: "button", id: `${verb}-keep`, hidden: !page.session?.labels, onclick: async () => {
      keep.disabled = true;
      try {
        const asked = new URLSearchParams({ author: labels.author, purpose, size: String(size()) });
        const found = await fetch(`labels?${asked}`, {
          method: "POST", body: labelsToGeoJson(page.state, labels.all()),
          headers: { "Content-Type": "application/geo+json", "X-Siamese": page.session?.token ?? "" },
        });
        const answer = (await found.json()) as Kept & { error?: string };
        told.textContent = found.ok ? kept(answer) : t("teach.failed", { why: answer.error ?? String(found.status) });
      } catch (error) {
        told.textContent = t("teach.failed", { why: error instanceof Error ? error.message : String(error) });
      }
      show();
    },
  }, t(verb === "adapt" ? "teach.keep" : "assess.keep"));
  const show = (): void => {
    save_.disabled = keep.disabled = labels.size === 0;
  };
  show();
  return { root: h("div", { class: "stack" }, author(labels, `${verb}-author`), h("div", { class: "row" }, save_, keep), told), show };
}

// What the map says of itself.
import { add, h } from "../dom.ts";
import type { Page } from "../page.ts";
import { named, percent, t } from "../strings.ts";

export function about(page: Page): HTMLElement {
  const { map } = page.about;
  const list = h("dl", {});
  const row = (name: string, value: string | null | undefined): void => {
    if (value) add(list, [h("dt", {}, name), h("dd", {}, value)]);
  };
  row(t("about.model"), map.model);
  row(t("about.checkpoint"), map.checkpoint);
  row(t("about.map"), page.about.digest);
  row(t("about.made"), map.created);
  row(t("about.crs"), map.crs ?? t("about.pixels"));
  row(t("about.size"), `${map.width} × ${map.height} px`);
  row(t("about.unknown"), percent(map.unknown_share, 1));
  row(t("about.pre"), map.pre.join(", "));
  row(t("about.post"), map.post.join(", "));
  row(t("about.parent"), map.parent);
  row(t("about.labels"), map.labels?.join(", "));
  row(t("about.revision"), map.revision);
  return h("div", { class: "stack" },
    map.trust ? trust(map.trust) : null,
    map.alignment ? h("section", {}, h("h2", {}, t("about.alignment")), told(map.alignment)) : null,
    map.footprint_alignment ? h("section", {}, h("h2", {}, t("about.footprints")), told(map.footprint_alignment)) : null,
    h("section", {}, h("h2", {}, t("about.limits")), h("p", {}, t("about.limits.text"))),
    h("section", {}, h("h2", {}, t("tab.about")), list),
    h("section", {}, h("h2", {}, t("about.keys")), h("ul", {}, h("li", {}, t("keys.map")), h("li", {}, t("keys.view")), h("li", {}, t("keys.teach")))));
}

/** What the map says of its trust in words, and the figures behind it. */
function trust(given: { statements?: string[] } & Record<string, unknown>): HTMLElement {
  const { statements, ...figures } = given;
  return h("section", {}, h("h2", {}, t("about.trust")),
    statements?.length ? h("ul", {}, ...statements.map((one) => h("li", {}, one))) : null,
    h("details", {}, h("summary", {}, t("about.figures")), told(figures)));
}

/** Shows whatever a map's statement holds, as text. */
function told(value: unknown): HTMLElement {
  if (Array.isArray(value)) return h("ul", {}, ...value.map((one) => h("li", {}, told(one))));
  if (value !== null && typeof value === "object") {
    const list = h("dl", {});
    for (const [name, one] of Object.entries(value)) {
      if (one !== null && one !== undefined && one !== "") add(list, [h("dt", {}, named("trust", name)), h("dd", {}, told(one))]);
    }
    return list;
  }
  return h("span", {}, typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
}

/** Warnings stand on every tab, above all else, then the first statement of trust; the others are folded away. */
export function warnings(page: Page): HTMLElement | null {
  const { map, imagery } = page.about;
  const own = [...new Set(map.warnings ?? [])];
  if (imagery.absent) own.push(t("noimagery", { why: imagery.absent }));
  const [first, ...others] = (map.trust?.statements ?? []).filter((one) => !own.includes(one));
  if (!own.length && !first) return null;
  return h("section", { class: "warnings", "aria-label": t("warnings") },
    ...own.map((one) => h("p", {}, h("strong", {}, t("warning")), ": ", one)),
    first ? h("p", {}, h("strong", {}, t("about.trust")), ": ", first) : null,
    others.length ? h("details", {}, h("summary", {}, `+ ${others.length}`), h("ul", {}, ...others.map((one) => h("li", {}, one)))) : null);
}

// The words of the page: one file a language.
import en from "../strings/en.json";
import es from "../strings/es.json";

export type Key = keyof typeof en;
export type Language = "en" | "es";
export const LANGUAGES: Record<Language, string> = { en: "English", es: "Español" };

const TEXTS: Record<Language, Record<Key, string>> = { en, es };
let language: Language = "en";

export function setLanguage(wanted: string | null): void {
  const asked = wanted ?? navigator.language.slice(0, 2);
  language = asked === "es" ? "es" : "en";
  document.documentElement.lang = language;
}

export function currentLanguage(): Language {
  return language;
}

/** Returns a text with its {names} filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === "number" ? count(value) : String(value ?? "");
  });
}

/** Returns a text by a name that comes from data; the name itself, with spaces, where there is none. */
export function named(prefix: string, name: string): string {
  const found = (TEXTS[language] as Record<string, string>)[`${prefix}.${name}`];
  return found ?? name.replaceAll("_", " ");
}

export function count(value: number): string {
  return new Intl.NumberFormat(language).format(value);
}

export function decimal(value: number, digits: number): string {
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function percent(value: number, digits = 0): string {
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Returns an area with a fitting unit. */
export function area(squareMetres: number, pixels: boolean): string {
  if (pixels) return `${count(Math.round(squareMetres))} px`;
  if (squareMetres >= 1e6) return `${decimal(squareMetres / 1e6, 2)} km²`;
  return `${count(Math.round(squareMetres))} m²`;
}

export function length(metres: number, pixels: boolean): string {
  if (pixels) return `${decimal(metres, 1)} px`;
  return metres >= 1000 ? `${decimal(metres / 1000, 2)} km` : `${decimal(metres, 1)} m`;
}

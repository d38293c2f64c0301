// What `vite.messages.ts` makes of a catalogue.
declare module "*.json?messages" {
  const messages: Readonly<Record<string, string | import("@formatjs/icu-messageformat-parser").MessageFormatElement[]>>;
  export default messages;
}

// Stories of the window without the network, with people on the same local network.
import { screen, within } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { fullDate } from "../i18n/times";
import { expectAccessible, openWindow } from "../testing/window";

const DAY = 86_400_000;
const panel = () => screen.getByRole("list", { name: "Near by" });

test("the line at the foot says who is reached, and leads to the page that says more", async () => {
  const { click, clock } = await openWindow("nearby");
  await click("button", /No way into the network. You reach Anna Virtanen and Sanna Koskela on this local network./);
  const people = within(panel()).getAllByRole("listitem");
  expect(people.map((p) => p.textContent)).toEqual([
    expect.stringMatching(/Anna Virtanen\s*since \d\d:\d\d\s*$/),
    expect.stringMatching(`Their certificate ended on ${fullDate(clock.now() - 9 * DAY)}. They are known`),
  ]);
  expect(screen.getByText(/You can call and write to those near by/)).toBeInTheDocument();
  expect(screen.queryByText(/Your own certificate/)).not.toBeInTheDocument();
  expect(screen.getAllByRole("cell", { name: "Contact, on this local network" })).toHaveLength(2);
  await expectAccessible();
});

test("of many the line names three, and an end of one's own certificate is said", async () => {
  const { click, clock } = await openWindow("nearbyMany");
  await click("button", /Johanna-Katariina Hämäläinen-Vänskäläinen, 🦊 Fox 👩‍👩‍👧‍👦 and 2 more/);
  expect(within(panel()).getAllByRole("listitem")).toHaveLength(5);
  const ended = `Your own certificate ended on ${fullDate(clock.now() - 2 * DAY)}.`;
  expect(screen.getByText(new RegExp(ended))).toBeInTheDocument();
});

test("somebody near by is called and written to as ever, and nothing is said to wait", async () => {
  const { backend, user, click, clock } = await openWindow("nearby");
  await click("option", /Anna Virtanen/);
  expect(screen.getByText(/is near by: calls and messages go straight over this/)).toBeInTheDocument();
  expect(screen.queryByText(/sent as soon as there is a connection/)).not.toBeInTheDocument();
  await expectAccessible();
  await user.type(screen.getByLabelText("Write to Anna Virtanen"), "Over the fence{Enter}");
  await clock.pass(2000);
  const last = backend.snapshot().conversations.find((c) => c.with === "anna")?.last;
  expect(last).toMatchObject({ text: "Over the fence", state: "read" });
  await click("button", "Call Anna Virtanen");
  await clock.pass(4000);
  expect(await screen.findByRole("button", { name: "Mute" })).toBeInTheDocument();
});

test("what is written to somebody further away waits, and is said to", async () => {
  const { click } = await openWindow("nearby");
  await click("option", /Tuomas/);
  expect(screen.getByText(/sent as soon as there is a connection/)).toBeInTheDocument();
  expect(screen.queryByText(/is near by/)).not.toBeInTheDocument();
});

test("when the last one goes, the page and the line say so", async () => {
  const { backend, click, clock } = await openWindow("nearby");
  await click("button", /You reach/);
  backend.tell({ type: "networkChanged", ...backend.snapshot().network, nearby: undefined, links: [] });
  await clock.pass(1);
  expect(await screen.findByRole("button", { name: /looking for a way into the network/ })).toBeInTheDocument();
  expect(screen.queryByRole("list", { name: "Near by" })).not.toBeInTheDocument();
  expect(screen.getByText(/what you write is sent later/)).toBeInTheDocument();
});

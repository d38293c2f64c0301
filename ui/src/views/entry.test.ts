// Stories before one is in: starting, joining, signing up, logging in, and what goes wrong with each.
import { screen } from "@testing-library/svelte";
import { expect, test } from "vitest";
import { expectAccessible, openWindow } from "../testing/window";

test("a network is started, its invite is shown, and the account comes next", async () => {
  const { user, click, last, clock } = await openWindow("first");
  await expectAccessible();
  await click("button", /Start a new network/);
  await click("button", "Start");
  expect(screen.getByText("Give the network a name.")).toBeVisible();
  await user.type(screen.getByLabelText("Name of the network"), "Virtanen");
  await click("button", "Start");
  expect(last("network.start")).toEqual({ name: "Virtanen" });
  expect(await screen.findByRole("img", { name: "Invite as a QR code" })).toBeInTheDocument();
  expect(screen.getByText(/same local network/)).toBeInTheDocument();
  await expectAccessible();
  await click("button", "Continue");
  await clock.pass(10);
  expect(await screen.findByRole("heading", { name: "Choose your name" })).toBeInTheDocument();
});

test("an invite that was clicked fills the form and joins nothing by itself", async () => {
  const { asked, click, last } = await openWindow("first", { link: "earshot:join/pABk" });
  expect(await screen.findByLabelText("Invite")).toHaveValue("earshot:pABk");
  expect(asked()).toEqual([]);
  await click("button", "Join");
  expect(last("network.join")).toEqual({ invite: "earshot:pABk" });
});

test("a damaged invite says what to do, and the text stays", async () => {
  const { user, click } = await openWindow("refusingFirst");
  await click("button", /I have an invite/);
  await user.type(screen.getByLabelText("Invite"), "earshot:half");
  await click("button", "Join");
  expect(await screen.findByText(/Copy it again, whole/)).toBeInTheDocument();
  expect(screen.getByLabelText("Invite")).toHaveValue("earshot:half");
  expect(screen.getByLabelText("Invite")).toBeInvalid();
  await click("button", "Back");
  expect(screen.getByRole("heading", { name: "Everybody within earshot" })).toBeInTheDocument();
});

test("signing up tells the rules while one types, then gives the recovery key once", async () => {
  const { user, click, asked, last } = await openWindow("joined");
  await user.type(screen.getByLabelText("User name"), "an na");
  expect(screen.getByText("Only letters and digits, without spaces.")).toBeInTheDocument();
  await user.clear(screen.getByLabelText("User name"));
  await user.type(screen.getByLabelText("User name"), "Anna");
  expect(screen.getByText("You will be called anna.")).toBeInTheDocument();
  await user.type(screen.getByLabelText("Name that people see"), "Anna V");
  await user.type(screen.getByLabelText("Password"), "short");
  await click("button", "Create account");
  expect(asked("register")).toEqual([]);
  expect(screen.getByText("A password has at least 8 characters.")).toBeInTheDocument();
  await user.clear(screen.getByLabelText("Password"));
  await user.click(screen.getByLabelText("Password"));
  await user.paste("correct horse battery staple");
  await click("button", "Create account");
  expect(last("register")).toEqual({ user: "Anna", displayName: "Anna V", password: "correct horse battery staple" });
  expect(await screen.findByRole("heading", { name: "Keep your recovery key" })).toBeInTheDocument();
  await expectAccessible();
  expect(screen.getByRole("group", { name: "Recovery key" })).toHaveTextContent("7KQF 2M9X");
  expect(screen.getByRole("button", { name: "Continue" })).toBeDisabled();
  await user.click(screen.getByRole("checkbox"));
  await click("button", "Continue");
  expect(screen.queryByText(/7KQF/)).toBeNull();
  expect(screen.getByRole("navigation")).toBeInTheDocument();
});

test("a name that is taken is said at the name", async () => {
  const { user, click } = await openWindow("refusingLogin");
  await user.type(screen.getByLabelText("User name"), "anna");
  await user.type(screen.getByLabelText("Password"), "correct horse");
  await click("button", "Create account");
  expect(await screen.findByText(/Somebody has that name already/)).toBeInTheDocument();
  expect(screen.getByLabelText("User name")).toBeInvalid();
});

test("logging in shows and hides the password, and remembers who one is", async () => {
  const { user, click, last } = await openWindow("joined");
  await click("button", "I have an account");
  await user.type(screen.getByLabelText("User name"), "anna");
  await user.type(screen.getByLabelText("Password"), "secret words");
  await click("button", "Show password");
  expect(screen.getByLabelText("Password")).toHaveAttribute("type", "text");
  await click("button", "Hide password");
  await click("button", "Log in");
  expect(last("login")).toEqual({ user: "anna", password: "secret words" });
  expect(await screen.findByRole("navigation")).toBeInTheDocument();
  expect(localStorage.getItem("user")).toBe("anna");
});

test("a wrong password is said, and the way to sign up is open", async () => {
  const { user, click } = await openWindow("refusingLogin");
  await click("button", "I have an account");
  await user.type(screen.getByLabelText("User name"), "anna");
  await user.type(screen.getByLabelText("Password"), "wrong");
  await click("button", "Log in");
  expect(await screen.findByRole("alert")).toHaveTextContent("Name and password do not belong together");
  await click("button", "Create an account");
  expect(screen.getByRole("heading", { name: "Choose your name" })).toBeInTheDocument();
});

test("while the node says nothing, the window says that it starts", async () => {
  await openWindow("loading");
  expect(screen.getByRole("status", { name: "" })).toHaveTextContent("Earshot");
});

test("when the node cannot start, the window says why and tries again when asked", async () => {
  const { click, asked } = await openWindow("failed");
  expect(screen.getByRole("heading", { name: "Earshot could not start" })).toBeInTheDocument();
  expect(screen.getByText(/history\.db/)).toBeInTheDocument();
  await click("button", "Try again");
  expect(asked("state.get")).toHaveLength(1);
});

/** What charts and tables offer beyond what is seen at a glance. */
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Chart } from "../src/ui/chart";
import { Table, Term } from "../src/ui/parts";

let root: HTMLElement;

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});

afterEach(() => {
  render(null, root);
  root.remove();
});

const show = (what: preact.ComponentChild) => act(() => render(what, root));

describe("a table", () => {
  const rows = (...seats: number[]) => (
    <Table label="Seats" head={["Seat", <Term key="s" word="stake" />, ""]}>
      {seats.map((seat) => (
        <tr key={seat}>
          <td>{seat}</td>
          <td>5</td>
          <td />
        </tr>
      ))}
    </Table>
  );
  const labels = () => [...root.querySelectorAll("td")].map((cell) => cell.getAttribute("data-label"));

  test("tells every cell what it is, also of rows that come later", async () => {
    await show(rows(1));
    expect(labels()).toEqual(["Seat", "stake", ""]);
    await show(rows(1, 2));
    expect(labels()).toEqual(["Seat", "stake", "", "Seat", "stake", ""]);
  });

  test("does not take the meaning of a term for its name", async () => {
    await show(rows(1));
    await act(() => root.querySelector("button")?.click());
    expect(root.querySelector("[role=tooltip]")).not.toBeNull();
    await show(rows(1, 2));
    expect(labels().filter((label) => label === "stake")).toHaveLength(2);
  });
});

describe("a chart", () => {
  const lines = [
    { name: "seat 0", kind: 1, points: [1, 3].map((x) => ({ x, y: x / 2 })) },
    { name: "seat 2", kind: 2, points: [{ x: 2, y: 7 }] },
  ];

  test("is walked along by keyboard, and says what is there", async () => {
    await show(<Chart title="Points" xLabel="round" lines={lines} axis={String} xRange={[1, 3]} />);
    const range = root.querySelector("input") as HTMLInputElement;
    expect(range.max).toBe("2");
    expect(range.getAttribute("aria-valuetext")).toBe("round 3, seat 0 1.5");
    range.value = "1";
    await act(() => void range.dispatchEvent(new Event("input", { bubbles: true })));
    expect(range.getAttribute("aria-valuetext")).toBe("round 2, seat 2 7");
    expect(root.querySelector(".legend")?.textContent).toContain("seat 2 7");
    await act(() => void range.dispatchEvent(new Event("blur")));
    expect(root.querySelector(".legend")?.textContent).not.toContain("7");
  });
});

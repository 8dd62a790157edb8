// Moments in the reader's own time zone; the server writes UTC.
export function localTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString();
  }
}

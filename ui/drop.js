// A picture that is dropped anywhere on the page, or pasted, goes the way of "Open picture".
(() => {
  const open = (event, transfer) => {
    const picture = [...(transfer?.files ?? [])].find((file) => file.type.startsWith('image/'));
    const input = document.querySelector('#tools input[type=file]');
    if (!picture || !input) return;
    event.preventDefault();
    event.stopPropagation();
    const files = new DataTransfer();
    files.items.add(picture);
    input.files = files.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  };
  window.addEventListener('dragover', (event) => event.preventDefault());
  window.addEventListener('drop', (event) => open(event, event.dataTransfer), true);
  window.addEventListener('paste', (event) => open(event, event.clipboardData));
})();

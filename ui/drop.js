// A picture that is dropped or pasted is opened by the first upload button of the drop zone under the pointer, or else of
// the first zone that can be seen. A zone is an element of the class "drop-zone".
(() => {
  const zone = (target) => target?.closest?.('.drop-zone')
    ?? [...document.querySelectorAll('.drop-zone')].find((element) => element.offsetParent);
  const open = (event, transfer) => {
    const picture = [...(transfer?.files ?? [])].find((file) => file.type.startsWith('image/'));
    const input = zone(event.target)?.querySelector('input[type=file]');
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

"""Parts of the pages. Text from the API reaches HTML only through `html.escape`."""
